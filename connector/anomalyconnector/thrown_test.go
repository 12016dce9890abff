package anomalyconnector

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

// A structured log line with a stack is an exception, whether it comes as text,
// as fields, or with its fields parsed into attributes.
func TestStacksOfStructuredLogs(t *testing.T) {
	const stack = `TypeError: total is undefined\n    at Cart.total (/app/cart/total.ts:88:12)\n    at checkout (/app/src/checkout.ts:14:3)`
	const pino = `{"level":50,"msg":"cannot total","err":{"type":"TypeError","message":"total is undefined","stack":"` + stack + `"}}`
	fields := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(pino), &fields))
	for name, c := range map[string]struct {
		write  func(plog.LogRecord)
		counts bool
	}{
		"text":                     {func(r plog.LogRecord) { r.Body().SetStr(pino) }, true},
		"text after blanks inside": {func(r plog.LogRecord) { r.Body().SetStr(strings.Replace(pino, `":`, `" : `, -1)) }, true},
		"fields":                   {func(r plog.LogRecord) { _ = r.Body().SetEmptyMap().FromRaw(fields) }, true},
		"attributes": {func(r plog.LogRecord) {
			r.Body().SetStr("cannot total")
			_ = r.Attributes().FromRaw(fields)
		}, true},
		"an error": {func(r plog.LogRecord) { r.Body().SetStr(pino); r.SetSeverityNumber(plog.SeverityNumberError) }, true},
		"a warning, as of printed stacks": {func(r plog.LogRecord) {
			r.Body().SetStr(pino)
			r.SetSeverityNumber(plog.SeverityNumberWarn)
		}, false},
		"no stack":  {func(r plog.LogRecord) { r.Body().SetStr(strings.Replace(pino, stack, "none", 1)) }, false},
		"cut short": {func(r plog.LogRecord) { r.Body().SetStr(pino[:len(pino)-3]) }, false},
		"too long": {func(r plog.LogRecord) {
			r.Body().SetStr(pino[:len(pino)-1] + `,"x":"` + strings.Repeat("x", maxStructured) + `"}`)
		}, false},
		"no object": {func(r plog.LogRecord) { r.Body().SetStr(`{"a":1} {"stack":"` + stack + `"}`) }, false},
	} {
		r := NewReplay(createDefaultConfig().(*Config), fuzzStart, true, zap.NewNop())
		ld := plog.NewLogs()
		in := ld.ResourceLogs().AppendEmpty()
		describe(in.Resource().Attributes())
		record := in.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(fuzzStart))
		c.write(record)
		r.Logs(ld, fuzzStart)
		known := slices.Collect(maps.Values(r.monitor.exceptions.byKey))
		r.Close()
		if !c.counts {
			assert.Empty(t, known, name)
			continue
		}
		if assert.Len(t, known, 1, name) {
			assert.Equal(t, "TypeError", known[0].Type, name)
			assert.Equal(t, "/app/cart/total.ts", known[0].Frames[0].File, name)
		}
	}
}

// Attributes without a text of several lines or a list are not copied.
func TestAttributesWithoutAStackAreNotCopied(t *testing.T) {
	record := plog.NewLogRecord()
	record.Body().SetStr(`{"level":"info","msg":"order 7 placed","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}`)
	for k := range 20 {
		record.Attributes().PutStr(fmt.Sprintf("key.%d", k), "value")
	}
	record.Attributes().PutEmptyMap("of").PutInt("k", 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := thrownIn(record); ok {
			t.Fatal("there is none")
		}
	}))
}
