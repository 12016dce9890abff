package logpattern

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Traces in several parts: what tells one exception from another is its own
// top frames, whatever else was printed and wherever lines moved.
var chains = []struct {
	name, typ, text string
	top             []string // functions of the top three own frames
	same            string   // another print of the same exception
}{
	{
		name: "a dump of goroutines", typ: "runtime.Error",
		text: "panic: assignment to entry in nil map\n\ngoroutine 51 [running]:\ngithub.com/acme/shop/cart.(*Cart).Add(...)\n\t/src/shop/cart/add.go:31\nmain.handle()\n\t/src/shop/main.go:41 +0x85\n\ngoroutine 1 [chan receive, 2 minutes]:\nmain.main()\n\t/src/shop/main.go:12 +0x33\n",
		top:  []string{"(*Cart).Add", "handle"},
		same: "panic: assignment to entry in nil map\n\ngoroutine 7 [running]:\ngithub.com/acme/shop/cart.(*Cart).Add(...)\n\t/src/shop/cart/add.go:33\nmain.handle()\n\t/src/shop/main.go:40 +0x81\n\ngoroutine 18 [IO wait]:\ngithub.com/acme/shop/mail.poll()\n\t/src/shop/mail/poll.go:9 +0x10\n",
	},
	{
		name: "java, caused by and suppressed", typ: "com.acme.CheckoutException",
		text: "com.acme.CheckoutException: order 17 failed\n\tat com.acme.shop.Checkout.run(Checkout.java:55)\n\tat org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:255)\n\tSuppressed: java.io.IOException: close\n\t\tat com.acme.shop.Db.close(Db.java:90)\nCaused by: java.sql.SQLTimeoutException: 30s\n\tat org.postgresql.jdbc.PgStatement.execute(PgStatement.java:371)\n\tat com.acme.shop.Db.load(Db.java:71)\n\t... 41 more\n",
		top:  []string{"Checkout.run", "Db.close", "Db.load"},
		same: "com.acme.CheckoutException: order 99 failed\n\tat com.acme.shop.Checkout.run(Checkout.java:57)\n\tat org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:251)\n\tSuppressed: java.io.IOException: close\n\t\tat com.acme.shop.Db.close(Db.java:91)\nCaused by: java.sql.SQLTimeoutException: 31s\n\tat org.postgresql.jdbc.PgStatement.execute(PgStatement.java:370)\n\tat com.acme.shop.Db.load(Db.java:75)\n\t... 38 more\n",
	},
	{
		name: "kotlin, a coroutine", typ: "java.lang.IllegalStateException",
		text: "java.lang.IllegalStateException: cart is closed\n\tat com.acme.shop.CartService$total$2.invokeSuspend(CartService.kt:44)\n\tat kotlin.coroutines.jvm.internal.BaseContinuationImpl.resumeWith(ContinuationImpl.kt:33)\n\tat kotlinx.coroutines.DispatchedTask.run(DispatchedTask.kt:104)\n\tat com.acme.shop.RoutesKt$main$1$1.invokeSuspend(Routes.kt:19)\n",
		top:  []string{"CartService$total$2.invokeSuspend", "RoutesKt$main$1$1.invokeSuspend"},
		same: "java.lang.IllegalStateException: cart is closed\n\tat com.acme.shop.CartService$total$3.invokeSuspend(CartService.kt:46)\n\tat kotlin.coroutines.jvm.internal.BaseContinuationImpl.resumeWith(ContinuationImpl.kt:33)\n\tat com.acme.shop.RoutesKt$main$1$2.invokeSuspend(Routes.kt:21)\n",
	},
	{
		name: "python, raised from, in an asyncio task", typ: "CheckoutError",
		text: "Traceback (most recent call last):\n  File \"/app/shop/db.py\", line 12, in load\n    return rows[0]\nIndexError: list index out of range\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/usr/lib/python3.12/asyncio/tasks.py\", line 314, in __step_run_and_handle_result\n    result = coro.send(None)\n  File \"/app/shop/views.py\", line 41, in checkout\n    await pay(order)\n  File \"/app/shop/pay.py\", line 88, in pay\n    raise CheckoutError(order) from e\nCheckoutError: 17\n",
		top:  []string{"pay", "checkout", "load"},
		same: "Traceback (most recent call last):\n  File \"/srv/r2/app/shop/db.py\", line 14, in load\n    return rows[0]\nIndexError: list index out of range\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/srv/r2/app/shop/views.py\", line 44, in checkout\n    await pay(order)\n  File \"/srv/r2/app/shop/pay.py\", line 90, in pay\n    raise CheckoutError(order) from e\nCheckoutError: 99\n",
	},
	{
		name: "node, a cause and async frames", typ: "CheckoutError",
		text: "CheckoutError: order 17\n    at pay (/app/src/pay.ts:88:11)\n    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)\n    at async checkout (/app/src/views.ts:41:3) {\n  [cause]: TypeError: Cannot read properties of undefined (reading 'price')\n      at total (/app/src/cart.ts:12:20)\n      at pay (/app/src/pay.ts:80:9)\n}\n",
		top:  []string{"pay", "total", "pay"},
		same: "CheckoutError: order 99\n    at pay (/app/src/pay.ts:89:11)\n    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)\n    at async checkout (/app/src/views.ts:44:3) {\n  [cause]: TypeError: Cannot read properties of undefined (reading 'price')\n      at total (/app/src/cart.ts:13:20)\n      at pay (/app/src/pay.ts:81:9)\n}\n",
	},
	{
		name: "dotnet, an inner exception and async bodies", typ: "Acme.CheckoutException",
		text: "Acme.CheckoutException: order 17\n ---> System.TimeoutException: 30s\n   at Npgsql.NpgsqlConnector.Open(Int32 timeout)\n   at Acme.Shop.Db.<LoadAsync>d__4.MoveNext() in /src/Shop/Db.cs:line 71\n   --- End of inner exception stack trace ---\n   at Acme.Shop.Checkout.<RunAsync>d__5.MoveNext() in /src/Shop/Checkout.cs:line 55\n",
		top:  []string{"Db.LoadAsync", "Checkout.RunAsync"},
		same: "Acme.CheckoutException: order 99\n ---> System.TimeoutException: 31s\n   at Npgsql.NpgsqlConnector.Open(Int32 timeout)\n   at Acme.Shop.Db.<LoadAsync>d__6.MoveNext() in /src/Shop/Db.cs:line 75\n   --- End of inner exception stack trace ---\n   at Acme.Shop.Checkout.<RunAsync>d__7.MoveNext() in /src/Shop/Checkout.cs:line 57\n",
	},
	{
		name: "ruby, full message with a cause", typ: "CheckoutError",
		text: "/app/lib/pay.rb:88:in 'Shop::Pay#call': order 17 (CheckoutError)\n\tfrom /app/lib/checkout.rb:14:in 'Shop::Checkout#run'\n\tfrom /usr/local/bundle/gems/puma-6.4.0/lib/puma/thread_pool.rb:155:in 'block in Puma::ThreadPool#spawn_thread'\n/app/lib/db.rb:7:in 'Shop::Db#load': timeout (Timeout::Error)\n\tfrom /app/lib/pay.rb:80:in 'Shop::Pay#call'\n",
		top:  []string{"Pay#call", "Checkout#run", "Db#load"},
		same: "/app/lib/pay.rb:89:in 'Shop::Pay#call': order 99 (CheckoutError)\n\tfrom /app/lib/checkout.rb:15:in 'Shop::Checkout#run'\n\tfrom /usr/local/bundle/gems/puma-6.4.2/lib/puma/thread_pool.rb:157:in 'block in Puma::ThreadPool#spawn_thread'\n/app/lib/db.rb:8:in 'Shop::Db#load': timeout (Timeout::Error)\n\tfrom /app/lib/pay.rb:81:in 'Shop::Pay#call'\n",
	},
	{
		name: "php, a previous exception", typ: "App\\CheckoutException",
		text: "PDOException: timeout in /app/src/Db.php:7\nStack trace:\n#0 /app/src/Pay.php(80): App\\Db->load(17)\n#1 {main}\n\nNext App\\CheckoutException: order 17 in /app/src/Pay.php:88\nStack trace:\n#0 /app/src/Checkout.php(14): App\\Pay->call(17)\n#1 /app/vendor/symfony/http-kernel/HttpKernel.php(181): App\\Checkout->run()\n#2 {main}\n",
		top:  []string{"", "Db->load", ""},
		same: "PDOException: timeout in /app/src/Db.php:8\nStack trace:\n#0 /app/src/Pay.php(81): App\\Db->load(99)\n#1 {main}\n\nNext App\\CheckoutException: order 99 in /app/src/Pay.php:89\nStack trace:\n#0 /app/src/Checkout.php(15): App\\Pay->call(99)\n#1 /app/vendor/symfony/http-kernel/HttpKernel.php(182): App\\Checkout->run()\n#2 {main}\n",
	},
	{
		name: "rust, in an async task", typ: "panic",
		text: "thread 'tokio-runtime-worker' panicked at src/pay.rs:88:9:\norder 17\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/std/src/panicking.rs:665:5\n   1: shop::pay::call::{{closure}}\n             at ./src/pay.rs:88:9\n   2: shop::checkout::run::{{closure}}\n             at ./src/checkout.rs:14:5\n   3: tokio::runtime::task::core::Core<T,S>::poll::{{closure}}\n             at /root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/tokio-1.40.0/src/runtime/task/core.rs:331:17\n",
		top:  []string{"", "call::{{closure}}", "run::{{closure}}"},
		same: "thread 'tokio-runtime-worker' panicked at src/pay.rs:90:9:\norder 99\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/aaaab43126469e3858e2fe86cafb4f0fd5068869/library/std/src/panicking.rs:661:5\n   1: shop::pay::call::{{closure}}\n             at ./src/pay.rs:90:9\n   2: shop::checkout::run::{{closure}}\n             at ./src/checkout.rs:15:5\n   3: tokio::runtime::task::core::Core<T,S>::poll::{{closure}}\n             at /root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/tokio-1.41.0/src/runtime/task/core.rs:331:17\n",
	},
}

func TestChainsAndTasks(t *testing.T) {
	for _, tc := range chains {
		t.Run(tc.name, func(t *testing.T) {
			x := Fingerprint(tc.typ, "", tc.text)
			var top []string
			for _, f := range x.Frames[:min(len(x.Frames), topFrames)] {
				top = append(top, f.Function)
			}
			assert.Equal(t, tc.top, top)
			require.NotEqual(t, tc.text, tc.same)
			assert.Equal(t, x.ID(), Fingerprint(tc.typ, "", tc.same).ID(), "the same defect a release later")
			assert.NotEqual(t, x.ID(), Fingerprint(tc.typ+"2", "", tc.text).ID(), "another type is another exception")
			moved := strings.NewReplacer("pay", "buy", "Pay", "Buy", "total", "sum", "run", "go", "Run", "Go", "Add", "Put").Replace(tc.text)
			assert.NotEqual(t, x.ID(), Fingerprint(tc.typ, "", moved).ID(), "another function is another exception")
		})
	}
}
