package logpattern

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// structured are lines as the libraries' own encoders write them, with what is
// known of the exception and its top frame of our own.
var structured = []struct{ library, line, typ, message, file, function string }{
	{"zap", `{"level":"error","ts":1700000000.1,"caller":"cart/total.go:88","msg":"cannot total","error":"no price","errorVerbose":"no price\nacme.com/shop/cart.price\n\t/src/cart/price.go:12\nacme.com/shop/cart.Total\n\t/src/cart/total.go:88","stacktrace":"acme.com/shop/cart.Total\n\t/src/cart/total.go:90\nmain.main\n\t/src/main.go:10"}`,
		"", "no price", "/src/cart/price.go", "price"},
	{"zap without a wrapped error", `{"level":"error","msg":"cannot total","error":"no price","stacktrace":"acme.com/shop/cart.Total\n\t/src/cart/total.go:90\nmain.main\n\t/src/main.go:10"}`,
		"", "no price", "/src/cart/total.go", "Total"},
	{"zerolog", `{"level":"error","stack":[{"func":"price","line":"12","source":"price.go"},{"func":"Total","line":"88","source":"total.go"}],"error":"no price","message":"cannot total"}`,
		"", "no price", "price.go", "price"},
	{"logstash-logback-encoder", `{"@timestamp":"2026-11-23T14:00:00Z","@version":"1","message":"cannot total","logger_name":"com.acme.Cart","level":"ERROR","stack_trace":"java.lang.IllegalStateException: no price\n\tat com.acme.Cart.total(Cart.java:88)\n\tat com.acme.Api.order(Api.java:14)\n"}`,
		"java.lang.IllegalStateException", "", "com/acme/Cart.java", "Cart.total"},
	{"ECS, dotted", `{"@timestamp":"2026-11-23T14:00:00Z","log.level":"ERROR","message":"cannot total","error.type":"java.lang.IllegalStateException","error.message":"no price","error.stack_trace":"java.lang.IllegalStateException: no price\n\tat com.acme.Cart.total(Cart.java:88)\n"}`,
		"java.lang.IllegalStateException", "no price", "com/acme/Cart.java", "Cart.total"},
	{"ECS, nested, as an array", `{"message":"cannot total","error":{"type":"java.lang.IllegalStateException","message":"no price","stack_trace":["java.lang.IllegalStateException: no price","\tat com.acme.Cart.total(Cart.java:88)","\tat com.acme.Api.order(Api.java:14)"]}}`,
		"java.lang.IllegalStateException", "no price", "com/acme/Cart.java", "Cart.total"},
	{"log4j JsonLayout", `{"level":"ERROR","message":"cannot total","thrown":{"commonElementCount":0,"name":"java.lang.IllegalStateException","message":"no price","extendedStackTrace":[{"class":"com.acme.Cart","method":"total","file":"Cart.java","line":88,"exact":true,"location":"classes/","version":"?"}]}}`,
		"java.lang.IllegalStateException", "no price", "com/acme/Cart.java", "Cart.total"},
	{"log4j JsonTemplateLayout, logstash", `{"message":"cannot total","exception":{"exception_class":"java.lang.IllegalStateException","exception_message":"no price","stacktrace":"java.lang.IllegalStateException: no price\n\tat com.acme.Cart.total(Cart.java:88)\n"}}`,
		"java.lang.IllegalStateException", "no price", "com/acme/Cart.java", "Cart.total"},
	{"Quarkus", `{"level":"ERROR","message":"cannot total","exception":{"refId":1,"exceptionType":"java.lang.IllegalStateException","message":"no price","frames":[{"class":"com.acme.Cart","method":"total","line":88},{"class":"com.acme.Api$Inner","method":"order","line":14}]}}`,
		"java.lang.IllegalStateException", "no price", "com/acme/Cart.java", "Cart.total"},
	{"pino", `{"level":50,"time":1700000000000,"pid":1,"err":{"type":"TypeError","message":"total is undefined","stack":"TypeError: total is undefined\n    at Cart.total (/app/cart/total.ts:88:12)\n    at checkout (/app/src/checkout.ts:14:3)"},"msg":"cannot total"}`,
		"TypeError", "total is undefined", "/app/cart/total.ts", "Cart.total"},
	{"winston", `{"level":"error","message":"total is undefined","stack":"TypeError: total is undefined\n    at Cart.total (/app/cart/total.ts:88:12)","timestamp":"2026-11-23T14:00:00Z"}`,
		"TypeError", "", "/app/cart/total.ts", "Cart.total"},
	{"structlog, format_exc_info", `{"event":"cannot total","level":"error","exception":"Traceback (most recent call last):\n  File \"/app/api.py\", line 14, in order\n    total()\n  File \"/app/cart.py\", line 88, in total\n    return 1 / 0\nZeroDivisionError: division by zero"}`,
		"ZeroDivisionError", "", "/app/cart.py", "total"},
	{"structlog, dict_tracebacks", `{"event":"cannot total","level":"error","exception":[{"exc_type":"ZeroDivisionError","exc_value":"division by zero","exc_notes":[],"syntax_error":null,"is_cause":false,"frames":[{"filename":"/app/api.py","lineno":14,"name":"order","line":"total()","locals":null},{"filename":"/app/cart.py","lineno":88,"name":"total","line":"return 1 / 0","locals":{"self":"x"}}]}]}`,
		"ZeroDivisionError", "division by zero", "/app/cart.py", "total"},
	{"python-json-logger", `{"asctime":"2026-11-23 14:00:00","levelname":"ERROR","message":"cannot total","exc_info":"Traceback (most recent call last):\n  File \"/app/cart.py\", line 88, in total\n    return 1 / 0\nZeroDivisionError: division by zero"}`,
		"ZeroDivisionError", "", "/app/cart.py", "total"},
	{"loguru", `{"text":"2026-11-23 14:00:00 | ERROR | cart:total:88 - cannot total\nTraceback (most recent call last):\n\n  File \"/app/cart.py\", line 88, in total\n    return 1 / 0\n\nZeroDivisionError: division by zero\n","record":{"exception":{"type":"ZeroDivisionError","value":"division by zero","traceback":true},"message":"cannot total"}}`,
		"", "", "/app/cart.py", "total"},
	{"Serilog, compact", `{"@t":"2026-11-23T14:00:00Z","@mt":"cannot total {Order}","@l":"Error","@x":"System.InvalidOperationException: no price\n   at Acme.Cart.Total(Order order) in /src/Cart.cs:line 88\n   at Acme.Api.Order() in /src/Api.cs:line 14","Order":7}`,
		"System.InvalidOperationException", "", "/src/Cart.cs", "Cart.Total"},
	{"Serilog, JSON", `{"Timestamp":"2026-11-23T14:00:00Z","Level":"Error","MessageTemplate":"cannot total","Exception":"System.InvalidOperationException: no price\n   at Acme.Cart.Total(Order order) in /src/Cart.cs:line 88","Properties":{}}`,
		"System.InvalidOperationException", "", "/src/Cart.cs", "Cart.Total"},
	{"Serilog, Elasticsearch", `{"@timestamp":"2026-11-23T14:00:00Z","level":"Error","exceptions":[{"Depth":0,"ClassName":"System.InvalidOperationException","Message":"no price","StackTraceString":"   at Acme.Cart.Total(Order order) in /src/Cart.cs:line 88\n   at Acme.Api.Order() in /src/Api.cs:line 14"}]}`,
		"System.InvalidOperationException", "no price", "/src/Cart.cs", "Cart.Total"},
	{"Microsoft.Extensions.Logging", `{"EventId":0,"LogLevel":"Error","Category":"Acme.Cart","Message":"cannot total","Exception":"System.InvalidOperationException: no price\n   at Acme.Cart.Total(Order order) in /src/Cart.cs:line 88","State":{}}`,
		"System.InvalidOperationException", "", "/src/Cart.cs", "Cart.Total"},
	{"semantic_logger", `{"level":"error","name":"Cart","message":"cannot total","exception":{"name":"Shop::NoPrice","message":"no price","stack_trace":["/app/cart/total.rb:88:in 'Cart#total'","/app/api.rb:14:in 'Api#order'"]}}`,
		"Shop::NoPrice", "no price", "/app/cart/total.rb", "Cart#total"},
	{"ougai", `{"name":"shop","level":50,"msg":"cannot total","err":{"name":"Shop::NoPrice","message":"no price","stack":"/app/cart/total.rb:88:in 'Cart#total'\n  /app/api.rb:14:in 'Api#order'"}}`,
		"Shop::NoPrice", "no price", "/app/cart/total.rb", "Cart#total"},
	{"lograge with a backtrace", `{"method":"POST","path":"/order","status":500,"exception":["Shop::NoPrice","no price"],"backtrace":["/app/cart/total.rb:88:in 'Cart#total'","/app/api.rb:14:in 'Api#order'"]}`,
		"Shop::NoPrice", "no price", "/app/cart/total.rb", "Cart#total"},
	{"monolog", `{"message":"cannot total","context":{"exception":{"class":"Acme\\NoPrice","message":"no price","code":0,"file":"/app/src/Cart.php:88","trace":["/app/src/Cart.php:80","/app/src/Api.php:14"]}},"level":400,"level_name":"ERROR","channel":"app"}`,
		`Acme\NoPrice`, "no price", "/app/src/Cart.php", ""},
	{"monolog, as a string", `{"message":"cannot total","context":{"exception":"[object] (Acme\\NoPrice(code: 0): no price at /app/src/Cart.php:88)\n[stacktrace]\n#0 /app/src/Api.php(14): Acme\\Cart->total()\n#1 {main}\n"},"level":400}`,
		`Acme\NoPrice`, "", "/app/src/Cart.php", ""},
	{"tracing", `{"timestamp":"2026-11-23T14:00:00Z","level":"ERROR","fields":{"message":"cannot total","error":"no price\n\nStack backtrace:\n   0: shop::cart::total\n             at /src/cart/total.rs:88:12\n   1: shop::api::order\n             at /src/api.rs:14:3"},"target":"shop"}`,
		"", "", "/src/cart/total.rs", "total"},
	{"tracing of a panic", `{"level":"ERROR","fields":{"message":"A panic occurred","panic.payload":"no price","panic.location":"src/cart/total.rs:88:12","panic.backtrace":"   0: shop::cart::total\n             at /src/cart/total.rs:88:12\n   1: shop::api::order\n             at /src/api.rs:14:3"}}`,
		"", "", "/src/cart/total.rs", "total"},
}

func fieldsOf(t *testing.T, line string) map[string]any {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
	return fields
}

func TestStructured(t *testing.T) {
	for _, x := range structured {
		thrown, ok := Structured(fieldsOf(t, x.line))
		if !assert.True(t, ok, x.library) {
			continue
		}
		known := Fingerprint(thrown.Type, thrown.Message, thrown.Stack)
		assert.Equal(t, x.typ, known.Type, x.library)
		assert.Equal(t, x.message, thrown.Message, x.library)
		if assert.NotEmpty(t, known.Frames, x.library) {
			assert.Equal(t, x.file, known.Frames[0].File, x.library)
			assert.Equal(t, x.function, known.Frames[0].Function, x.library)
		}
	}
}

// Fields without a stack are none, whatever they are called and hold.
func TestStructuredFindsNoStackWhereThereIsNone(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20) + `{"err":{"stack":"TypeError: x\n    at f (/app/x.ts:1:2)"}}` + strings.Repeat("}", 20)
	for _, line := range []string{
		`{"level":"error","msg":"order failed","error":"no price","trace_id":"4bf92f3577b34da6"}`,
		`{"msg":"ran\nSELECT 1\nFROM carts\n  at once","stack":"production","trace":"off"}`,
		`{"stack":["web","api"],"trace":[1,2,null],"frames":[{"file":"x"}],"exception":["a","b"],"exc_info":true}`,
		`{"stack":"one line","stacktrace":null,"exception":{"stack_trace":{}}}`,
		`{"traceback":"pip install\nof 3 packages\ntook 2 s"}`, deep, `{}`,
	} {
		thrown, ok := Structured(fieldsOf(t, line))
		assert.False(t, ok, "%s: %v", line, thrown)
	}
	wide := map[string]any{"z": map[string]any{"err": map[string]any{"stack": "TypeError: x\n    at f (/app/x.ts:1:2)"}}}
	_, ok := Structured(wide)
	require.True(t, ok)
	for k := range maxFields {
		wide["a"+hexID(uint64(k))] = ""
	}
	_, ok = Structured(wide)
	require.False(t, ok, "no more fields than that are looked at")
}

// Whatever the fields hold, the search ends, and gives the same each time.
func FuzzStructured(f *testing.F) {
	for _, x := range structured {
		f.Add([]byte(x.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var fields map[string]any
		if json.Unmarshal(line, &fields) != nil {
			return
		}
		a, ok := Structured(fields)
		b, again := Structured(fields)
		if a != b || ok != again || ok && len(a.Stack) == 0 {
			t.Fatalf("%v %v, then %v %v", a, ok, b, again)
		}
	})
}
