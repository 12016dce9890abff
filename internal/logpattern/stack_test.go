package logpattern

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each trace is as its runtime prints it; want lists all frames, top first,
// "+" before those of the application: file:line module|function.
var traces = []struct {
	name, text string
	want       []string
}{
	{"go panic", `panic: runtime error: index out of range [3] with length 3

goroutine 34 [running]:
net/http.(*conn).serve.func1()
	/usr/local/go/src/net/http/server.go:1947 +0xbe
panic({0x7a3f20?, 0xc0001a4030?})
	/usr/local/go/src/runtime/panic.go:787 +0x132
github.com/acme/shop/cart.(*Cart).Total(0xc000112000, {0xc00001c0a8, 0x3, 0x4})
	/src/shop/cart/total.go:88 +0x1d
main.handle({0x8f1a20, 0xc0001b6000}, 0xc0001b2000)
	/src/shop/cmd/checkout/main.go:41 +0x85
github.com/gorilla/mux.(*Router).ServeHTTP(0xc00012c000, {0x8f1a20, 0xc0001b6000}, 0xc0001b2000)
	/go/pkg/mod/github.com/gorilla/mux@v1.8.1/mux.go:212 +0x1e2
created by net/http.(*Server).Serve in goroutine 1
	/usr/local/go/src/net/http/server.go:3454 +0x485
`, []string{
		"/usr/local/go/src/net/http/server.go:1947 net/http|(*conn).serve.func1",
		"/usr/local/go/src/runtime/panic.go:787 |panic",
		"+/src/shop/cart/total.go:88 github.com/acme/shop/cart|(*Cart).Total",
		"+/src/shop/cmd/checkout/main.go:41 main|handle",
		"/go/pkg/mod/github.com/gorilla/mux@v1.8.1/mux.go:212 github.com/gorilla/mux|(*Router).ServeHTTP",
		"/usr/local/go/src/net/http/server.go:3454 net/http|(*Server).Serve",
	}},
	{"go trimpath", "goroutine 1 [running]:\nruntime/debug.Stack()\n\truntime/debug/stack.go:26 +0x5e\nexample.com/shop/cart.Total(...)\n\texample.com/shop/cart/total.go:88\n", []string{
		"runtime/debug/stack.go:26 runtime/debug|Stack",
		"+example.com/shop/cart/total.go:88 example.com/shop/cart|Total",
	}},
	{"java", `java.lang.IllegalStateException: cart is closed
	at com.acme.shop.Cart.total(Cart.java:88)
	at com.acme.shop.Cart$Line.lambda$sum$3(Cart.java:121)
	at java.base/java.util.ArrayList.forEach(ArrayList.java:1596)
	at app//com.acme.shop.CheckoutKt.checkout(Checkout.kt:14) ~[shop.jar:1.42.0]
	at org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:897)
	at jdk.internal.reflect.GeneratedMethodAccessor4.invoke(Unknown Source)
	at sun.reflect.NativeMethodAccessorImpl.invoke0(Native Method)
Caused by: java.sql.SQLException: no connection
	at com.acme.shop.Db.open(Db.java:7)
	... 12 more
`, []string{
		"+com/acme/shop/Cart.java:88 com.acme.shop|Cart.total",
		"+com/acme/shop/Cart.java:121 com.acme.shop|Cart$Line.lambda$sum$3",
		"java/util/ArrayList.java:1596 java.util|ArrayList.forEach",
		"+com/acme/shop/Checkout.kt:14 com.acme.shop|CheckoutKt.checkout",
		"org/springframework/web/servlet/FrameworkServlet.java:897 org.springframework.web.servlet|FrameworkServlet.service",
		":0 jdk.internal.reflect|GeneratedMethodAccessor4.invoke",
		":0 sun.reflect|NativeMethodAccessorImpl.invoke0",
		"+com/acme/shop/Db.java:7 com.acme.shop|Db.open",
	}},
	{"python", `Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/flask/app.py", line 880, in full_dispatch_request
    rv = self.dispatch_request()
         ^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/shop/views.py", line 41, in checkout
    return cart.total()
  File "/app/shop/cart.py", line 88, in total
    return sum(l.price for l in lines)
  File "<frozen importlib._bootstrap>", line 1, in _find
TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'
`, []string{
		"<frozen importlib._bootstrap>:1 |_find",
		"+/app/shop/cart.py:88 |total",
		"+/app/shop/views.py:41 |checkout",
		"/usr/local/lib/python3.12/site-packages/flask/app.py:880 |full_dispatch_request",
	}},
	{"v8", `TypeError: total is undefined
    at Cart.total (/app/cart/total.ts:88:12)
    at async Promise.all (index 0)
    at async checkout (file:///app/src/checkout.mjs:14:3)
    at new Order (/app/src/order.js:3:9)
    at /app/src/index.js:9:1
    at Foo.bar [as baz] (webpack-internal:///./src/foo.js:5:1)
    at Layer.handle (/app/node_modules/express/lib/router/layer.js:95:5)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
    at Array.map (<anonymous>)
`, []string{
		"+/app/cart/total.ts:88 |Cart.total",
		"<index 0>:0 |Promise.all",
		"+/app/src/checkout.mjs:14 |checkout",
		"+/app/src/order.js:3 |Order",
		"+/app/src/index.js:9 |",
		"+src/foo.js:5 |Foo.bar",
		"/app/node_modules/express/lib/router/layer.js:95 |Layer.handle",
		"node:internal/process/task_queues:95 |process.processTicksAndRejections",
		"<anonymous>:0 |Array.map",
	}},
	{"firefox", "total@https://shop.example/assets/cart.4f2a9c1b.js:88:12\n@http://localhost:3000/src/main.tsx?t=17:9:1\n", []string{
		"+/assets/cart.4f2a9c1b.js:88 |total",
		"+/src/main.tsx:9 |",
	}},
	{"dotnet", `System.InvalidOperationException: cart is closed
   at Acme.Shop.Cart.Total(Order order, Int32 n) in /src/Shop/Cart.cs:line 88
   at Acme.Shop.Checkout.<RunAsync>d__5.MoveNext() in C:\src\Shop\Checkout.cs:line 14
--- End of stack trace from previous location ---
   at System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw()
   at Microsoft.AspNetCore.Routing.EndpointMiddleware.Invoke(HttpContext httpContext)
   at Acme.Shop.Order..ctor(String id)
`, []string{
		"+/src/Shop/Cart.cs:88 Acme.Shop|Cart.Total",
		"+C:/src/Shop/Checkout.cs:14 Acme.Shop|Checkout.RunAsync",
		":0 System.Runtime.ExceptionServices|ExceptionDispatchInfo.Throw",
		":0 Microsoft.AspNetCore.Routing|EndpointMiddleware.Invoke",
		"+:0 Acme.Shop|Order..ctor",
	}},
	{"ruby", "/app/lib/cart.rb:88:in `total': undefined method `price' for nil (NoMethodError)\n\tfrom /app/lib/cart.rb:12:in 'block (2 levels) in Shop::Cart#sum'\n\tfrom /usr/local/bundle/gems/rack-3.0.8/lib/rack/handler.rb:10:in `call'\n\tfrom <internal:kernel>:187:in `loop'\n", []string{
		"+/app/lib/cart.rb:88 |total",
		"+/app/lib/cart.rb:12 Shop|Cart#sum",
		"/usr/local/bundle/gems/rack-3.0.8/lib/rack/handler.rb:10 |call",
		"<internal:kernel>:187 |loop",
	}},
	{"php", `PHP Fatal error:  Uncaught Error: Call to a member function price() on null in /app/src/Cart.php:88
Stack trace:
#0 /app/src/Checkout.php(14): Acme\Shop\Cart->total()
#1 /app/vendor/laravel/framework/src/Illuminate/Routing/Controller.php(54): Acme\Shop\Checkout->run(Array)
#2 [internal function]: array_map(Object(Closure), Array)
#3 {main}
`, []string{
		"+/app/src/Cart.php:88 |",
		"+/app/src/Checkout.php:14 Acme\\Shop|Cart->total",
		"/app/vendor/laravel/framework/src/Illuminate/Routing/Controller.php:54 Acme\\Shop|Checkout->run",
		"[internal function]:0 |array_map",
	}},
	{"rust", `thread 'main' panicked at src/cart/total.rs:88:12:
index out of bounds: the len is 3 but the index is 3
stack backtrace:
   0: rust_begin_unwind
             at /rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
             at /rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/core/src/panicking.rs:76:14
   2: shop::cart::total::h0123456789abcdef
             at ./src/cart/total.rs:88:12
   3: shop::main::{{closure}}
             at ./src/main.rs:14:3
`, []string{
		"+src/cart/total.rs:88 |",
		"/rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/std/src/panicking.rs:665 |rust_begin_unwind",
		"/rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/core/src/panicking.rs:76 core::panicking|panic_fmt",
		"+./src/cart/total.rs:88 shop::cart|total",
		"+./src/main.rs:14 shop|main::{{closure}}",
	}},
	{"no stack", "connected to db at 10.0.0.1:5432\nuser asked for total (3) at checkout\n", nil},
}

func TestParseStack(t *testing.T) {
	for _, tc := range traces {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range ParseStack(tc.text) {
				mark := ""
				if InApp(f) {
					mark = "+"
				}
				got = append(got, fmt.Sprintf("%s%s:%d %s|%s", mark, f.File, f.Line, f.Module, f.Function))
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestParseStackIsBounded(t *testing.T) {
	deep := strings.Repeat("\tat com.acme.Cart.total(Cart.java:88)\n", 5000)
	assert.Len(t, ParseStack(deep), MaxFrames)

	// Python's innermost frame is the last line: it must outlive the cut.
	py := strings.Repeat("  File \"/app/deep.py\", line 3, in deep\n", 5000) + "  File \"/app/cart.py\", line 88, in total\n"
	frames := ParseStack(py)
	require.Len(t, frames, MaxFrames)
	assert.Equal(t, "/app/cart.py", frames[0].File)
	assert.Empty(t, ParseStack(strings.Repeat("a", 1<<20)))
}

func FuzzParseStack(f *testing.F) {
	for _, tc := range traces {
		f.Add(tc.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		frames := ParseStack(text)
		if len(frames) > MaxFrames {
			t.Fatalf("%d frames", len(frames))
		}
		for _, fr := range frames {
			if fr.Line < 0 {
				t.Fatalf("line %d", fr.Line)
			}
			InApp(fr)
		}
	})
}
