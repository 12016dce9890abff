package logpattern

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Traces as they stand in logs of a type that nobody told: own are the
// functions of the application's frames, same is the next release's print of the
// same defect, other one of another.
var loggedForms = []struct {
	name, text, typ string
	own             []string
	same, other     string
}{
	{
		name: "go, a recovered panic: the recovering middleware is no culprit", typ: "",
		text:  "goroutine 34 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\ngithub.com/acme/shop/web.recoverer.func1.1()\n\t/src/shop/web/recover.go:18 +0x4c\npanic({0x7a3f20?, 0xc0001a4030?})\n\t/usr/local/go/src/runtime/panic.go:787 +0x132\ngithub.com/acme/shop/cart.Map[...](0xc0, 0x1)\n\t/src/shop/cart/map.go:88 +0x1d\ngithub.com/acme/shop/cart.(*Set[go.shape.int]).Add(0xc0)\n\t/src/shop/cart/set.go:8 +0x1d\n",
		own:   []string{"Map[...]", "(*Set[go.shape.int]).Add"},
		same:  "goroutine 7 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\ngithub.com/acme/shop/web.recoverer.func1.2()\n\t/src/shop/web/recover.go:19 +0x4c\npanic({0x7a3f20?, 0xc000?})\n\t/usr/local/go/src/runtime/panic.go:787 +0x132\ngithub.com/acme/shop/cart.Map[...](0xc1, 0x2)\n\t/src/shop/cart/map.go:90 +0x1d\ngithub.com/acme/shop/cart.(*Set[go.shape.int]).Add(0xc1)\n\t/src/shop/cart/set.go:9 +0x1d\n",
		other: "goroutine 34 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\ngithub.com/acme/shop/web.recoverer.func1.1()\n\t/src/shop/web/recover.go:18 +0x4c\npanic({0x7a3f20?, 0xc0001a4030?})\n\t/usr/local/go/src/runtime/panic.go:787 +0x132\ngithub.com/acme/shop/mail.Send(0xc0)\n\t/src/shop/mail/send.go:8 +0x1d\n",
	},
	{
		name: "go, runtime errors of one function", typ: "runtime error: index out of range [<*>] with length <*>",
		text:  "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 34 [running]:\nmain.handle()\n\t/src/shop/main.go:41 +0x85\n",
		own:   []string{"handle"},
		same:  "panic: runtime error: index out of range [5] with length 4\n\ngoroutine 7 [running]:\nmain.handle()\n\t/src/shop/main.go:44 +0x89\n",
		other: "panic: runtime error: invalid memory address or nil pointer dereference\n\ngoroutine 34 [running]:\nmain.handle()\n\t/src/shop/main.go:41 +0x85\n",
	},
	{
		name:  "go, an error with its stack, wrapped",
		text:  "cart closed\n(1) attached stack trace\n  -- stack trace:\n  | github.com/acme/shop/cart.(*Cart).Total\n  | \t/src/shop/cart/total.go:88\n  | main.handle\n  | \t/src/shop/main.go:41\nWraps: (2) cart closed\n",
		own:   []string{"(*Cart).Total", "handle"},
		same:  "cart closed\n(1) attached stack trace\n  -- stack trace:\n  | github.com/acme/shop/cart.(*Cart).Total\n  | \t/src/shop/cart/total.go:91\n  | main.handle\n  | \t/src/shop/main.go:42\nWraps: (2) cart closed\n",
		other: "cart closed\n(1) attached stack trace\n  -- stack trace:\n  | github.com/acme/shop/cart.(*Cart).Sum\n  | \t/src/shop/cart/total.go:88\n  | main.handle\n  | \t/src/shop/main.go:41\nWraps: (2) cart closed\n",
	},
	{
		name: "java, without a message, through lambdas and proxies", typ: "java.lang.NullPointerException",
		text:  "Exception in thread \"main\" java.lang.NullPointerException\n\tat com.acme.Cart$$EnhancerBySpringCGLIB$$4f2a9c1b.total(<generated>)\n\tat com.acme.Cart.total(Cart.java:8)\n\tat com.acme.Cart$$Lambda$123/0x0000000800c8a440.apply(Unknown Source)\n\tat com.acme.Cart.$anonfun$total$1$adapted(Cart.scala:8)\n\tat com.fasterxml.jackson.databind.ObjectMapper.readValue(ObjectMapper.java:3825)\n",
		own:   []string{"Cart.total", "Cart.$anonfun$total$1$adapted"},
		same:  "Exception in thread \"pool-1-thread-7\" java.lang.NullPointerException\n\tat com.acme.Cart$$EnhancerBySpringCGLIB$$abcdefab.total(<generated>)\n\tat com.acme.Cart.total(Cart.java:9)\n\tat com.acme.Cart$$Lambda/0x00007f3e1c0a2000.apply(Unknown Source)\n\tat com.acme.Cart.$anonfun$total$2$adapted(Cart.scala:9)\n",
		other: "Exception in thread \"main\" java.lang.IllegalStateException\n\tat com.acme.Cart.total(Cart.java:8)\n\tat com.acme.Cart.$anonfun$total$1$adapted(Cart.scala:8)\n",
	},
	{
		name: "android, obfuscated", typ: "java.lang.IllegalStateException",
		text:  "java.lang.IllegalStateException: closed\n\tat a.b.c.d(SourceFile:12)\n\tat com.acme.shop.Cart.total(Unknown Source:8)\n\tat com.acme.shop.Cart$$ExternalSyntheticLambda0.run(D8$$SyntheticClass:0)\n\tat com.acme.shop.Cart.b(r8-map-id-4f2a9c1b:33)\n\tat android.os.Handler.handleCallback(Handler.java:942)\n",
		own:   []string{"c.d", "Cart.total", "Cart.b"},
		same:  "java.lang.IllegalStateException: closed\n\tat a.b.c.d(SourceFile:14)\n\tat com.acme.shop.Cart.total(Unknown Source:9)\n\tat com.acme.shop.Cart.b(r8-map-id-09ab37ef:35)\n\tat android.os.Handler.handleCallback(Handler.java:938)\n",
		other: "java.lang.IllegalStateException: closed\n\tat a.b.c.e(SourceFile:12)\n\tat com.acme.shop.Cart.b(r8-map-id-4f2a9c1b:33)\n",
	},
	{
		name:  "clojure",
		text:  "Execution error\n\tat shop.cart$total$fn__1234.invoke(cart.clj:88)\n\tat clojure.lang.AFn.run(AFn.java:22)\n\tat shop.cart$checkout.invokeStatic(cart.clj:14)\n",
		own:   []string{"cart$total$fn__1234.invoke", "cart$checkout.invokeStatic"},
		same:  "Execution error\n\tat shop.cart$total$fn__977.invoke(cart.clj:90)\n\tat clojure.lang.AFn.run(AFn.java:22)\n\tat shop.cart$checkout.invokeStatic(cart.clj:15)\n",
		other: "Execution error\n\tat shop.cart$sum$fn__1234.invoke(cart.clj:88)\n\tat shop.cart$checkout.invokeStatic(cart.clj:14)\n",
	},
	{
		name: "python, on Windows, as loguru marks it", typ: "shop.errors.CartError",
		text:  "Traceback (most recent call last):\n> File \"C:\\app\\shop\\cart.py\", line 88, in total\n    price()\n    └ <function price at 0x7f>\n  File \"C:\\Python312\\Lib\\site-packages\\flask\\app.py\", line 8, in dispatch\n  File \"asyncpg/protocol/protocol.pyx\", line 207, in query\n  File \"C:\\app\\shop\\price.py\", line 3, in <lambda>\nshop.errors.CartError: 17\n",
		own:   []string{"<lambda>", "total"},
		same:  "Traceback (most recent call last):\n> File \"C:\\app\\shop\\cart.py\", line 90, in total\n    price()\n  File \"C:\\app\\shop\\price.py\", line 5, in <lambda>\nshop.errors.CartError: 99\n",
		other: "Traceback (most recent call last):\n> File \"C:\\app\\shop\\cart.py\", line 88, in total\n  File \"C:\\app\\shop\\price.py\", line 3, in <lambda>\nTypeError: 17\n",
	},
	{
		name: "javascript, minified: a build deals out names anew", typ: "TypeError",
		text:  "TypeError: Cannot read properties of undefined (reading 'price')\n    at t (https://shop.example/assets/index-DiwrgTda.js:1:23456)\n    at n.value (https://shop.example/assets/index-DiwrgTda.js:1:13456)\n    at e (https://shop.example/_next/static/chunks/app/(shop)/cart/[id]/page-0f9a8c2b1d3e4f56.js:1:9912)\n",
		own:   []string{"t", "n.value", "e"},
		same:  "TypeError: Cannot read properties of undefined (reading 'price')\n    at r (https://shop.example/assets/index-BkX2_a9-.js:1:24456)\n    at o.value (https://shop.example/assets/index-BkX2_a9-.js:1:13999)\n    at n (https://shop.example/_next/static/chunks/app/(shop)/cart/[id]/page-1f9a8c2b1d3e4f57.js:1:9999)\n",
		other: "TypeError: Cannot read properties of undefined (reading 'name')\n    at t (https://shop.example/assets/index-DiwrgTda.js:1:33456)\n    at n.value (https://shop.example/assets/index-DiwrgTda.js:1:13456)\n    at e (https://shop.example/_next/static/chunks/app/(shop)/cart/[id]/page-0f9a8c2b1d3e4f56.js:1:9912)\n",
	},
	{
		name: "javascript, of many runtimes", typ: "RangeError",
		text:  "Uncaught RangeError: total\n    at Page (webpack-internal:///(rsc)/./src/app/page.tsx:12:9)\n    at async file:///app/src/x.mjs:1:2\n    at eval (eval at f (/app/x.js:1:1), <anonymous>:3:5)\n    at total (address at index.android.bundle:1:345)\n    at processTicksAndRejections (native:7:39)\n    at op (ext:core/01_core.js:1:2)\n    at Cart.total (C:\\Program Files (x86)\\shop\\dist\\x.js:1:2)\n    at Router.handle (/app/node_modules/.pnpm/router@2.0.0/node_modules/router/index.js:284:15)\n",
		own:   []string{"Page", "", "total", "Cart.total"},
		same:  "RangeError: total\n    at Page (webpack-internal:///(rsc)/./src/app/page.tsx:14:9)\n    at async file:///app/src/x.mjs:2:2\n    at total (address at index.android.bundle:1:399)\n",
		other: "RangeError: total\n    at Layout (webpack-internal:///(rsc)/./src/app/page.tsx:12:9)\n    at async file:///app/src/x.mjs:1:2\n    at total (address at index.android.bundle:1:345)\n",
	},
	{
		name:  "javascript, of Firefox and Safari",
		text:  "promise callback*total@https://shop.example/a.js:3:4\nsum/<@https://shop.example/a.js:9:4\nmap@[native code]\nglobal code@https://shop.example/a.js:1:2\n",
		own:   []string{"total", "sum", ""},
		same:  "async*total@https://shop.example/a.js:4:4\nsum@https://shop.example/a.js:9:9\nmodule code@https://shop.example/a.js:1:2\n",
		other: "total@https://shop.example/a.js:3:4\nprice@https://shop.example/a.js:9:4\nglobal code@https://shop.example/a.js:1:2\n",
	},
	{
		name: "dotnet, lambdas, local functions and their async bodies", typ: "System.AggregateException",
		text:  "Unhandled exception. System.AggregateException: One or more errors occurred. (closed)\n ---> System.InvalidOperationException: closed\n   at Acme.Shop.Cart.<>c.<Total>b__3_0(Order o) in /src/Cart.cs:line 5\n   at Acme.Shop.Cart.<>c__DisplayClass5_0.<<Total>b__0>d.MoveNext() in /src/Cart.cs:line 9\n   at Acme.Shop.Cart.<Total>g__Sum|3_0(Order o) in /src/Cart.cs:line 15\n   at Program.<>c.<<Main>$>b__0_1(Int32 id) in /src/Program.cs:line 12\n   at Acme.Shop.Repo`1.<GetAsync>d__4`1.MoveNext() in /src/Repo.cs:line 3\n   at System.Threading.Tasks.Task.Wait()\n",
		own:   []string{"Cart.Total{lambda}", "Cart.Total{lambda}", "Cart.Total{Sum}", "Program.<Main>${lambda}", "Repo`1.GetAsync"},
		same:  "Unhandled exception. System.AggregateException: One or more errors occurred. (closed)\n ---> System.InvalidOperationException: closed\n   at Acme.Shop.Cart.<>c.<Total>b__4_1(Order o) in /src/Cart.cs:line 6\n   at Acme.Shop.Cart.<>c__DisplayClass6_0.<<Total>b__1>d.MoveNext() in /src/Cart.cs:line 10\n   at Acme.Shop.Cart.<Total>g__Sum|4_2(Order o) in /src/Cart.cs:line 16\n",
		other: "Unhandled exception. System.AggregateException: One or more errors occurred. (closed)\n ---> System.InvalidOperationException: closed\n   at Acme.Shop.Cart.<>c.<Price>b__3_0(Order o) in /src/Cart.cs:line 5\n   at Acme.Shop.Cart.<>c__DisplayClass5_0.<<Total>b__0>d.MoveNext() in /src/Cart.cs:line 9\n   at Acme.Shop.Cart.<Total>g__Sum|3_0(Order o) in /src/Cart.cs:line 15\n",
	},
	{
		name: "dotnet, demystified, native and of Mono", typ: "System.InvalidOperationException",
		text:  "System.InvalidOperationException: closed\n   at async Task<Order> Acme.Shop.Checkout.RunAsync(int id) in /src/Checkout.cs:line 14\n   at void Acme.Shop.Cart.Total(Order order)\n   at Acme.Shop.Cart.Sum(Order) + 0x3f\n   at Acme.Shop.Cart.Add (Acme.Order o) [0x00012] in <4f2a9c1b00000000>:0\n",
		own:   []string{"Checkout.RunAsync", "Cart.Total", "Cart.Sum", "Cart.Add"},
		same:  "System.InvalidOperationException: closed\n   at async Task<Order> Acme.Shop.Checkout.RunAsync(int id) in /src/Checkout.cs:line 15\n   at void Acme.Shop.Cart.Total(Order order)\n   at Acme.Shop.Cart.Sum(Order) + 0x4f\n",
		other: "System.InvalidOperationException: closed\n   at async Task<Order> Acme.Shop.Checkout.UndoAsync(int id) in /src/Checkout.cs:line 14\n   at void Acme.Shop.Cart.Total(Order order)\n   at Acme.Shop.Cart.Sum(Order) + 0x3f\n",
	},
	{
		name: "ruby, in a view", typ: "Shop::CartError",
		text:  "/app/app/views/carts/show.html.erb:12:in `_app_views_carts_show_html_erb___4071930293859327123_21880': closed (Shop::CartError)\n\tfrom /app/lib/cart.rb:12:in `block in rescue in sum'\n\tfrom /app/lib/cart.rb:14:in 'rescue in block (2 levels) in Shop::Cart#total'\n",
		own:   []string{"_app_views_carts_show_html_erb___4071930293859327123_21880", "sum", "Cart#total"},
		same:  "/app/app/views/carts/show.html.erb:13:in `_app_views_carts_show_html_erb___9171930293859327777_960': closed (Shop::CartError)\n\tfrom /app/lib/cart.rb:13:in `block (2 levels) in sum'\n\tfrom /app/lib/cart.rb:15:in 'Shop::Cart#total'\n",
		other: "/app/app/views/carts/show.html.erb:12:in `_app_views_carts_show_html_erb___4071930293859327123_21880': closed (NoMethodError)\n\tfrom /app/lib/cart.rb:12:in `block in rescue in sum'\n\tfrom /app/lib/cart.rb:14:in 'rescue in block (2 levels) in Shop::Cart#total'\n",
	},
	{
		name: "ruby, its calls numbered",
		text: "Traceback (most recent call last):\n\t2: from /app/bin/run:3:in `<main>'\n\t1: from /app/lib/cart.rb:8:in `total'\n/app/lib/cart.rb:12:in `sum': closed (CartError)\n",
		own:  []string{"<main>", "total", "sum"},
	},
	{
		name: "laravel", typ: "App\\CartError",
		text:  "[2026-11-23 14:00:00] production.ERROR: closed {\"userId\":1,\"exception\":\"[object] (App\\\\CartError(code: 0): closed at /app/src/Cart.php:88)\n[stacktrace]\n#0 /app/vendor/laravel/framework/src/Illuminate/Routing/Controller.php(54): App\\Http\\CartController->show()\n#1 /app/src/Shop.php(14): Acme\\Shop\\{closure:Acme\\Shop\\Cart::total():88}(Array)\n#2 /app/routes/web.php(14): {closure:/app/routes/web.php:12}(Array)\n#3 /app/src/Shop.php(15): class@anonymous/app/src/Cart.php:88$1a->total()\n#4 {main}\n\"}",
		own:   []string{"", "Cart::total{closure}", "{closure}", "class@anonymous->total"},
		same:  "[2026-11-24 14:00:00] production.ERROR: closed {\"userId\":7,\"exception\":\"[object] (App\\\\CartError(code: 0): closed at /app/src/Cart.php:90)\n[stacktrace]\n#0 /app/vendor/laravel/framework/src/Illuminate/Routing/Controller.php(54): App\\Http\\CartController->show()\n#1 /app/src/Shop.php(15): Acme\\Shop\\{closure:Acme\\Shop\\Cart::total():90}(Array)\n#2 /app/routes/web.php(16): {closure:/app/routes/web.php:14}(Array)\n#3 {main}\n\"}",
		other: "[2026-11-23 14:00:00] production.ERROR: closed {\"userId\":1,\"exception\":\"[object] (TypeError(code: 0): closed at /app/src/Cart.php:88)\n[stacktrace]\n#0 /app/src/Shop.php(14): Acme\\Shop\\{closure:Acme\\Shop\\Cart::total():88}(Array)\n#1 /app/routes/web.php(14): {closure:/app/routes/web.php:12}(Array)\n#2 {main}\n\"}",
	},
	{
		name: "symfony, with the one before", typ: "App\\CheckoutException",
		text:  "[2026-11-23T14:00:00] request.CRITICAL: Uncaught PHP Exception App\\CheckoutException: \"order 17\" at /app/src/Pay.php line 88 {\"exception\":\"[object] (App\\\\CheckoutException(code: 0): order 17 at /app/src/Pay.php:88)\\n[previous exception] [object] (PDOException(code: 2002): timeout at /app/src/Db.php:7)\"} []",
		own:   []string{""},
		same:  "[2026-11-24T14:00:00] request.CRITICAL: Uncaught PHP Exception App\\CheckoutException: \"order 99\" at /app/src/Pay.php line 90 {\"exception\":\"[object] (App\\\\CheckoutException(code: 0): order 99 at /app/src/Pay.php:90)\\n[previous exception] [object] (PDOException(code: 2002): timeout at /app/src/Db.php:9)\"} []",
		other: "[2026-11-23T14:00:00] request.CRITICAL: Uncaught PHP Exception App\\CheckoutException: \"order 17\" at /app/src/Pay.php line 88 {\"exception\":\"[object] (App\\\\CheckoutException(code: 0): order 17 at /app/src/Mail.php:88)\"} []",
	},
	{
		name: "rust, anyhow in a release build: functions without places", typ: "Error",
		text:  "Error: order 17 failed\n\nCaused by:\n    0: no row in db::orders\n    1: timeout\n\nStack backtrace:\n   0: anyhow::error::<impl anyhow::Error>::msg\n   1: shop::pay::call\n   2: <shop::cart::Cart as shop::Total>::total\n   3: shop::main::{closure#0}\n   4: std::rt::lang_start::{{closure}}\n   5: main\n   6: __libc_start_main\n",
		own:   []string{"call", "<shop::cart::Cart as shop::Total>::total", "main::{{closure}}"},
		same:  "Error: order 99 failed\n\nStack backtrace:\n   0: anyhow::error::<impl anyhow::Error>::msg\n   1: shop::pay::call\n   2: <shop::cart::Cart as shop::Total>::total\n   3: shop::main::{closure#2}\n   4: std::rt::lang_start::{{closure}}\n",
		other: "Error: order 17 failed\n\nStack backtrace:\n   0: anyhow::error::<impl anyhow::Error>::msg\n   1: shop::mail::send\n   2: <shop::cart::Cart as shop::Total>::total\n   3: shop::main::{closure#0}\n",
	},
	{
		name:  "rust, eyre, places without columns, on Windows, through C",
		text:  "Stack backtrace:\n   7: shop::pay::call::h0123456789abcdef\n      at /src/shop/src/pay.rs:88\n   8: shop::run::{closure#2}::{closure#0}\n             at .\\src\\run.rs:14:5\n   9: start_thread\n             at ./nptl/pthread_create.c:447:8\n",
		own:   []string{"call", "run::{{closure}}::{{closure}}"},
		same:  "Stack backtrace:\n   7: shop::pay::call::hfedcba9876543210\n      at /src/shop/src/pay.rs:91\n   8: shop::run::{closure#0}::{closure#1}\n             at .\\src\\run.rs:15:5\n",
		other: "Stack backtrace:\n   7: shop::pay::call::h0123456789abcdef\n      at /src/shop/src/pay.rs:88\n   8: shop::stop::{closure#2}\n             at .\\src\\run.rs:14:5\n",
	},
	{
		name:  "rust, two panics of one file without a backtrace",
		text:  "thread 'main' panicked at src/cart/total.rs:88:12:\nindex out of bounds: the len is 3 but the index is 3\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
		own:   []string{""},
		same:  "thread 'tokio-runtime-worker' panicked at src/cart/total.rs:90:14:\nindex out of bounds: the len is 5 but the index is 7\n",
		other: "thread 'main' panicked at src/cart/total.rs:88:12:\ncalled `Option::unwrap()` on a `None` value\n",
	},
}

func TestFormsInLogs(t *testing.T) {
	for _, tc := range loggedForms {
		t.Run(tc.name, func(t *testing.T) {
			x := Fingerprint("", "", tc.text)
			var own []string
			for _, f := range x.Frames {
				own = append(own, f.Function)
			}
			assert.Equal(t, tc.own, own)
			if tc.same == "" {
				return
			}
			assert.Equal(t, tc.typ, x.Type)
			require.NotEqual(t, tc.text, tc.same)
			assert.Equal(t, x.ID(), Fingerprint("", "", tc.same).ID(), "the same defect a release later")
			assert.NotEqual(t, x.ID(), Fingerprint("", "", tc.other).ID(), "another defect")
		})
	}
}

// A line that only looks like a frame is none.
func TestNoFrames(t *testing.T) {
	for _, line := range []string{
		"at 12:30:45", "  at noon (about 12:30:45)", "1: see std::vector for more", "  12: apples", "note: 3: from here on", "mail me@https://x",
		"at least foo.bar was tried", "order 17: done at /srv/x.php line 3",
	} {
		assert.Empty(t, ParseStack(line), line)
	}
}
