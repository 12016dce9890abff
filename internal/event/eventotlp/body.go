package eventotlp

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The body codec walks a struct by its JSON tags straight into a pcommon map,
// rather than through JSON text: a float stays a double (3.0 must not turn into
// an integer, or a back end sees one field with two types), NaN survives, and an
// int64 keeps all its digits. Times are RFC 3339 text in UTC with nanoseconds,
// durations are integers in nanoseconds, as in the JSON of the same types.

var (
	timeType = reflect.TypeFor[time.Time]()
	fieldsOf sync.Map // reflect.Type → []bodyField
)

type bodyField struct {
	index     int
	name      string
	omitEmpty bool
	omitZero  bool
}

// structFields lists the tagged fields of t; the set of types is small and fixed.
func structFields(t reflect.Type) []bodyField {
	if known, ok := fieldsOf.Load(t); ok {
		return known.([]bodyField)
	}
	var fields []bodyField
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		fields = append(fields, bodyField{
			index:     i,
			name:      name,
			omitEmpty: strings.Contains(options, "omitempty"),
			omitZero:  strings.Contains(options, "omitzero") || f.Type == timeType,
		})
	}
	fieldsOf.Store(t, fields)
	return fields
}

func (f bodyField) omits(v reflect.Value) bool {
	switch {
	case f.omitZero && v.Type() == timeType:
		return v.Interface().(time.Time).IsZero()
	case f.omitZero && v.IsZero():
		return true
	case v.Kind() == reflect.Pointer:
		return v.IsNil()
	case v.Kind() == reflect.Slice:
		return v.IsNil() || f.omitEmpty && v.Len() == 0
	default:
		return f.omitEmpty && v.Kind() != reflect.Struct && v.IsZero()
	}
}

func encodeValue(v reflect.Value, dst pcommon.Value) {
	if v.Type() == timeType {
		dst.SetStr(v.Interface().(time.Time).UTC().Format(time.RFC3339Nano))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			encodeValue(v.Elem(), dst)
		}
	case reflect.String:
		// OTLP is protobuf, whose strings are UTF-8: one bad byte from a log
		// line would make a back end refuse the whole request.
		dst.SetStr(strings.ToValidUTF8(v.String(), "\uFFFD"))
	case reflect.Bool:
		dst.SetBool(v.Bool())
	case reflect.Int, reflect.Int64, reflect.Int32:
		dst.SetInt(v.Int())
	case reflect.Uint, reflect.Uint64, reflect.Uint32:
		dst.SetInt(int64(min(v.Uint(), math.MaxInt64)))
	case reflect.Float64, reflect.Float32:
		dst.SetDouble(v.Float())
	case reflect.Slice, reflect.Array:
		slice := dst.SetEmptySlice()
		slice.EnsureCapacity(v.Len())
		for i := range v.Len() {
			encodeValue(v.Index(i), slice.AppendEmpty())
		}
	case reflect.Struct:
		m := dst.SetEmptyMap()
		for _, f := range structFields(v.Type()) {
			if field := v.Field(f.index); !f.omits(field) {
				encodeValue(field, m.PutEmpty(f.name))
			}
		}
	default:
		panic("eventotlp: no encoding for " + v.Type().String()) // a new kind of field; the property test meets it first
	}
}

// decodeValue fills v from src. Unknown keys are left out, so that a record of a
// newer version still reads; a value of the wrong type is an error that names
// its path.
func decodeValue(src pcommon.Value, v reflect.Value) error {
	if src.Type() == pcommon.ValueTypeEmpty {
		return nil
	}
	if v.Type() == timeType {
		if src.Type() != pcommon.ValueTypeStr {
			return mismatch("an RFC 3339 time", src)
		}
		t, err := time.Parse(time.RFC3339Nano, src.Str())
		if err != nil {
			return fmt.Errorf("want an RFC 3339 time, got %q", clip(src.Str(), 64))
		}
		v.Set(reflect.ValueOf(t.UTC()))
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(src, v.Elem())
	case reflect.String:
		if src.Type() != pcommon.ValueTypeStr {
			return mismatch("a string", src)
		}
		v.SetString(src.Str())
	case reflect.Bool:
		if src.Type() != pcommon.ValueTypeBool {
			return mismatch("a boolean", src)
		}
		v.SetBool(src.Bool())
	case reflect.Int, reflect.Int64, reflect.Int32:
		n, ok := asInt(src)
		if !ok || v.OverflowInt(n) {
			return mismatch("an integer", src)
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint64, reflect.Uint32:
		n, ok := asInt(src)
		if !ok || n < 0 || v.OverflowUint(uint64(n)) {
			return mismatch("a count", src)
		}
		v.SetUint(uint64(n))
	case reflect.Float64, reflect.Float32:
		switch src.Type() {
		case pcommon.ValueTypeDouble:
			v.SetFloat(src.Double())
		case pcommon.ValueTypeInt:
			v.SetFloat(float64(src.Int()))
		default:
			return mismatch("a number", src)
		}
	case reflect.Slice:
		if src.Type() != pcommon.ValueTypeSlice {
			return mismatch("a list", src)
		}
		items := src.Slice()
		out := reflect.MakeSlice(v.Type(), items.Len(), items.Len())
		for i := range items.Len() {
			if err := decodeValue(items.At(i), out.Index(i)); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		v.Set(out)
	case reflect.Array:
		if src.Type() != pcommon.ValueTypeSlice || src.Slice().Len() != v.Len() {
			return mismatch(fmt.Sprintf("a list of %d", v.Len()), src)
		}
		for i := range v.Len() {
			if err := decodeValue(src.Slice().At(i), v.Index(i)); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case reflect.Struct:
		if src.Type() != pcommon.ValueTypeMap {
			return mismatch("a map", src)
		}
		m := src.Map()
		for _, f := range structFields(v.Type()) {
			if value, ok := m.Get(f.name); ok {
				if err := decodeValue(value, v.Field(f.index)); err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
			}
		}
	default:
		return fmt.Errorf("no decoding for %s", v.Type())
	}
	return nil
}

// decodeBody fills target (a pointer to a struct) from a record's body: a map,
// or the same as JSON text, which is what exporters without structured bodies
// make of it.
func decodeBody(body pcommon.Value, target any) error {
	switch body.Type() {
	case pcommon.ValueTypeMap:
		if err := decodeValue(body, reflect.ValueOf(target).Elem()); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		return nil
	case pcommon.ValueTypeStr:
		if err := json.Unmarshal([]byte(body.Str()), target); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("body: %w", mismatch("a map", body))
	}
}

func asInt(v pcommon.Value) (int64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int(), true
	case pcommon.ValueTypeDouble:
		d := v.Double()
		if d != math.Trunc(d) || math.Abs(d) >= 1<<63 {
			return 0, false
		}
		return int64(d), true
	default:
		return 0, false
	}
}

func mismatch(want string, got pcommon.Value) error {
	return fmt.Errorf("want %s, got %s", want, got.Type())
}

// clip keeps text from outside short in an error.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
