package backtest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// place is where an item came from.
type place struct {
	name string
	line uint64 // 0: no file
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.name, q.name), cmp.Compare(p.line, q.line))
}

// dates counts the batches of each day of event time, a few thousand days at
// most in what is recorded, 106,752 in what a number of nanoseconds can tell.
type dates map[int64]*date

type date struct {
	batches uint64
	second  int64 // of the first that is told
	first   place // the least, whoever met it
}

const daySeconds = 24 * 3600

func (d dates) add(second int64, from place) {
	day := d[second/daySeconds]
	if day == nil {
		day = &date{second: second, first: from}
		d[second/daySeconds] = day
	}
	day.batches++
	if c := cmp.Or(from.compare(day.first), cmp.Compare(second, day.second)); c < 0 {
		day.first, day.second = from, second
	}
}

// A few items far from the rest are of a clock that was not set, or of times in
// another unit than nanoseconds: one of them in 1970 or in 2100 would stretch
// the recording over decades, and end every watch in silence.
const (
	strayGap   = 30    // days between them and the rest
	strayShare = 100   // they are less than one in so many
	firstSane  = 10957 // 2000-01-01: what is later at the front may be an old commit's or build's event
)

// span is the days that are played, from first to before last, and the others in
// order.
func (d dates) span() (first, last int64, astray []int64) {
	days := slices.Sorted(maps.Keys(d))
	first, last = math.MinInt64, math.MaxInt64
	total, few := uint64(0), uint64(0)
	for _, x := range d {
		total += x.batches
	}
	for i := 1; i < len(days) && days[i-1] < firstSane; i++ {
		if few += d[days[i-1]].batches; few*strayShare >= total {
			break
		}
		if days[i]-days[i-1] > strayGap {
			first = days[i]
		}
	}
	few = 0
	for i := len(days) - 1; i > 0; i-- {
		if few += d[days[i]].batches; few*strayShare >= total {
			break
		}
		if days[i]-days[i-1] > strayGap {
			last = days[i]
		}
	}
	for _, day := range days {
		if day < first || day >= last {
			astray = append(astray, day)
		}
	}
	return first, last, astray
}

// settle notes what is astray, and gives the seconds that are played.
func (in *Input) settle() (from, to int64) {
	first, last, astray := in.dates.span()
	in.Skipped.Days, in.Skipped.Astray = len(astray), nil
	for _, day := range astray[:min(len(astray), maxNamed)] {
		in.Skipped.Astray = append(in.Skipped.Astray, said(in.dates[day]))
	}
	if days := slices.Sorted(maps.Keys(in.dates)); len(days) > 0 && days[len(days)-1] < firstSane {
		if x := in.dates[days[0]]; unitOf(x.second) != "" {
			in.Skipped.Unit = said(x)
		}
	}
	from, to = math.MinInt64, math.MaxInt64
	if first > from {
		from = first * daySeconds
	}
	if last < math.MaxInt64 {
		to = last * daySeconds
	}
	return from, to
}

func said(x *date) string {
	return fmt.Sprintf("%s:%d: %s%s", x.first.name, x.first.line, time.Unix(x.second, 0).UTC().Format(time.RFC3339), unitOf(x.second))
}

// unitOf names the unit of a time that, read as nanoseconds, lies so soon after
// 1970: those of 2001 to 2286 do.
func unitOf(second int64) string {
	switch {
	case second < 1 || second >= 1e7:
		return ""
	case second < 10:
		return ", seconds where nanoseconds are due"
	case second >= 1e3 && second < 1e4:
		return ", milliseconds where nanoseconds are due"
	case second >= 1e6:
		return ", microseconds where nanoseconds are due"
	}
	return ""
}
