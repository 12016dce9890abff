package eventotlp

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// attributes binds the fields of an event to the attributes of a record. One
// table per event type serves both directions: it writes the fields when
// encoding and reads them when decoding. A zero field is not written.
type attributes struct {
	record   pcommon.Map
	decoding bool
	errs     []error
}

// text binds a string; aliases are further names that are accepted on input.
func text[T ~string](a *attributes, field *T, name string, aliases ...string) {
	if !a.decoding {
		if *field != "" {
			a.record.PutStr(name, strings.ToValidUTF8(string(*field), "\uFFFD"))
		}
		return
	}
	for _, candidate := range append([]string{name}, aliases...) {
		value, ok := a.record.Get(candidate)
		if !ok {
			continue
		}
		// A number or a flag is a fine name of something; only a structure is not.
		switch value.Type() {
		case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
			a.wrongType(candidate, "a string", value)
		default:
			*field = T(value.AsString())
		}
		if *field != "" {
			return
		}
	}
}

// integer binds an int or a duration (in nanoseconds).
func integer[T ~int | ~int64](a *attributes, field *T, name string) {
	bindValue(a, reflect.ValueOf(field).Elem(), name)
}

func (a *attributes) flag(field *bool, name string) {
	bindValue(a, reflect.ValueOf(field).Elem(), name)
}

// instant binds a time as RFC 3339 text with nanoseconds, in UTC.
func (a *attributes) instant(field *time.Time, name string) {
	bindValue(a, reflect.ValueOf(field).Elem(), name)
}

// list binds a slice: of strings as they are, of structs as maps.
func list[T any](a *attributes, field *[]T, name string) {
	bindValue(a, reflect.ValueOf(field).Elem(), name)
}

func bindValue(a *attributes, field reflect.Value, name string) {
	if !a.decoding {
		if !field.IsZero() && (field.Kind() != reflect.Slice || field.Len() > 0) {
			encodeValue(field, a.record.PutEmpty(name))
		}
		return
	}
	if value, ok := a.record.Get(name); ok {
		if err := decodeValue(value, field); err != nil {
			a.errs = append(a.errs, fmt.Errorf("attribute %s: %w", name, err))
		}
	}
}

func (a *attributes) wrongType(name, want string, got pcommon.Value) {
	a.errs = append(a.errs, fmt.Errorf("attribute %s: want %s, got %s", name, want, got.Type()))
}

func (a *attributes) err() error { return errors.Join(a.errs...) }

// lookup finds the first of names that is present as a non-empty text.
func lookup(m pcommon.Map, names ...string) string {
	for _, name := range names {
		if value, ok := m.Get(name); ok && value.AsString() != "" {
			return value.AsString()
		}
	}
	return ""
}

func toTimestamp(t time.Time) pcommon.Timestamp {
	if t.IsZero() || t.Before(time.Unix(0, 0)) {
		return 0
	}
	return pcommon.NewTimestampFromTime(t)
}

func fromTimestamp(t pcommon.Timestamp) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.AsTime()
}
