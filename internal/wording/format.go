package wording

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/deployloop/deployloop/internal/event"
)

// Units of Evidence.Before and Evidence.After.
const (
	unitShare       = "1"
	unitPerSecond   = "1/s"
	unitMillisecond = "ms"
)

// Percent writes a share (0.0021) with two significant digits ("0.21%"). Close
// to all of it, it never rounds up to 100%: 99.95% available is not 100%.
func Percent(share float64) string {
	if !finite(share) {
		return "unknown"
	}
	percent := share * 100
	if abs := math.Abs(percent); abs > 99 && abs < 100 {
		cut := math.Trunc(percent*100) / 100
		return plain(cut, -1) + "%"
	}
	return significant(percent, 2) + "%"
}

// Value writes a value in its unit: "1" is a share, "1/s" a rate, "ms" a
// duration; any other unit follows the number.
func Value(value float64, unit string) string {
	if !finite(value) {
		return "unknown"
	}
	switch unit {
	case unitShare:
		return Percent(value)
	case unitPerSecond:
		return significant(value, 2) + "/s"
	case unitMillisecond:
		if math.Abs(value) >= 1000 {
			return significant(value/1000, 2) + " s"
		}
		return significant(value, 2) + " ms"
	case "":
		return significant(value, 3)
	default:
		return significant(value, 3) + " " + OneLine(unit, 16)
	}
}

// Ratio writes how many times more ("×23"); "" where no ratio can be given
// (nothing before, or the value is not finite).
func Ratio(ratio float64) string {
	if !finite(ratio) || ratio <= 0 {
		return ""
	}
	return "×" + significant(ratio, 2)
}

// Difference writes a signed difference of two values in unit: shares in
// percentage points ("+4.6 pp"), others in the unit itself.
func Difference(difference float64, unit string) string {
	if !finite(difference) {
		return "unknown"
	}
	sign := "+"
	if difference < 0 {
		sign = "−"
	}
	if unit == unitShare {
		return sign + significant(math.Abs(difference)*100, 2) + " pp"
	}
	return sign + Value(math.Abs(difference), unit)
}

// Interval writes the 95 % interval of a difference ("95% CI +4.1 pp … +5.2 pp");
// "" when it is not known.
func Interval(interval [2]float64, unit string) string {
	if !finite(interval[0]) || !finite(interval[1]) || interval[0] == interval[1] {
		return ""
	}
	return "95% CI " + Difference(interval[0], unit) + " … " + Difference(interval[1], unit)
}

// Count writes a number of things, estimated or exact, with thousands
// separated: "1,240".
func Count(n float64) string {
	if !finite(n) || n < 0 {
		return "unknown"
	}
	if n < 10 && n != math.Trunc(n) {
		return significant(n, 2)
	}
	digits := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Clock writes a time of day to the minute ("14:03Z"); "" for the zero time.
func Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04Z")
}

// ClockSeconds writes a time of day to the second ("14:03:20Z").
func ClockSeconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05Z")
}

// Date writes a day and the time of it ("2026-11-23 14:03Z").
func Date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// Elapsed writes a duration as people say it: "8s", "3m40s", "2h5m", "3d4h".
func Elapsed(d time.Duration) string {
	d = d.Abs().Round(time.Second)
	whole := func(unit time.Duration) string { return strconv.FormatInt(int64(d/unit), 10) }
	rest := func(of, unit time.Duration, suffix string) string {
		if n := d % of / unit; n > 0 {
			return strconv.FormatInt(int64(n), 10) + suffix
		}
		return ""
	}
	switch {
	case d < time.Minute:
		return whole(time.Second) + "s"
	case d < time.Hour:
		return whole(time.Minute) + "m" + rest(time.Minute, time.Second, "s")
	case d < 24*time.Hour:
		return whole(time.Hour) + "h" + rest(time.Hour, time.Minute, "m")
	default:
		return whole(24*time.Hour) + "d" + rest(24*time.Hour, time.Hour, "h")
	}
}

// OneLine makes text from outside fit for a sentence: valid UTF-8, without
// control characters, white space collapsed, cut to limit runes with an
// ellipsis.
func OneLine(text string, limit int) string {
	// A stack trace or a whole document may arrive here: look no further than
	// what could be kept (4 bytes a rune, and white space that collapses).
	if most := 16 * (limit + 1); len(text) > most {
		text = text[:most]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, text)
	return Clip(strings.Join(strings.Fields(text), " "), limit)
}

// Clip cuts text to limit runes, the last of which is then an ellipsis. The
// result is always valid UTF-8.
func Clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "")
	if limit <= 0 {
		return ""
	}
	if len(text) <= limit || utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := 0
	for i := range text {
		if runes == limit-1 {
			return strings.TrimRight(text[:i], " ") + "…"
		}
		runes++
	}
	return text
}

// significant writes x with n significant digits, but all digits of its whole
// part, without an exponent and without trailing zeros.
func significant(x float64, n int) string {
	if x == 0 {
		return "0"
	}
	abs := math.Abs(x)
	if abs < 1e-9 {
		return "0"
	}
	decimals := max(0, n-1-int(math.Floor(math.Log10(abs))))
	scale := math.Pow(10, float64(decimals))
	return plain(math.Round(x*scale)/scale, decimals)
}

func plain(x float64, decimals int) string {
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return strings.Replace(text, "-", "−", 1)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// plural writes "1 commit", "7 commits".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return Count(float64(n)) + " " + thing + "s"
}

// join puts the parts that say something into one text.
func join(separator string, parts ...string) string {
	kept := parts[:0:0]
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, separator)
}

// capital makes the first letter a capital one.
func capital(sentence string) string {
	first, size := utf8.DecodeRuneInString(sentence)
	if size == 0 || first == utf8.RuneError {
		return sentence
	}
	return string(unicode.ToUpper(first)) + sentence[size:]
}

func shortRevision(revision string) string { return OneLine(event.ShortRevision(revision), 40) }
