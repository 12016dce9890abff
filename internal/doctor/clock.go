package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Clocks keeps what servers say of the time, out of the Date header of every
// answer that passes.
type Clocks struct {
	mu    sync.Mutex
	ahead map[string]time.Duration // by server: how far its clock is before this one
}

// NewClocks knows of none.
func NewClocks() *Clocks { return &Clocks{ahead: map[string]time.Duration{}} }

// Watch makes the client tell the time of the server that it talks to.
func (c *Clocks) Watch(server string, client *http.Client) *http.Client {
	own := *client
	next := own.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	own.Transport = dated{next, func(ahead time.Duration) { c.note(server, ahead) }}
	return &own
}

type dated struct {
	next http.RoundTripper
	told func(ahead time.Duration)
}

// RoundTrip takes the middle of the call for the moment of the answer, and the
// middle of the second that Date names for the time in it.
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil && took < 2*time.Second {
		d.told(date.Add(time.Second / 2).Sub(began.Add(took / 2)))
	}
	return response, nil
}

// CloseIdleConnections is passed on: http.Client looks for it.
func (d dated) CloseIdleConnections() {
	if c, ok := d.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// note keeps the smallest difference: a slow answer shows a larger one.
func (c *Clocks) note(server string, ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was, ok := c.ahead[server]; !ok || ahead.Abs() < was.Abs() {
		c.ahead[server] = ahead
	}
}

// Between two clocks the first is worth a word; the second breaks alerts, which
// end three heartbeats of half a minute after they are told.
const (
	clockWorth = 5 * time.Second
	clockBreak = 30 * time.Second
)

// Check compares the clocks with that of deployloop: what the named server
// (the console) told, else this machine's. It is run after the others.
func (c *Clocks) Check(deployloop string) Check {
	return Check{"clocks", "", func(context.Context) []Finding { return c.compare(deployloop) }}
}

func (c *Clocks) compare(deployloop string) []Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.ahead[deployloop]
	type clock struct {
		server string
		ahead  time.Duration
	}
	var all, off []clock
	for server, ahead := range c.ahead {
		if server == deployloop {
			continue
		}
		one := clock{server, (ahead - own).Round(time.Second)}
		all = append(all, one)
		if one.ahead.Abs() > clockWorth {
			off = append(off, one)
		}
	}
	slices.SortFunc(off, func(a, b clock) int { return cmp.Compare(a.server, b.server) })
	switch {
	case len(all) == 0:
		return []Finding{Skip("no other server told its time", "")}
	case len(off) == 0:
		return []Finding{ok("all agree within %s", clockWorth)}
	}
	if len(off) > 1 && len(off) == len(all) && slices.MaxFunc(off, func(a, b clock) int { return cmp.Compare(a.ahead, b.ahead) }).ahead-
		slices.MinFunc(off, func(a, b clock) int { return cmp.Compare(a.ahead, b.ahead) }).ahead <= clockWorth {
		names := make([]string, len(off))
		for i, o := range off {
			names[i] = o.server
		}
		return []Finding{skewed("deployloop's own machine", -off[0].ahead, "against all of "+strings.Join(names, ", "))}
	}
	var found []Finding
	for _, o := range off {
		found = append(found, skewed(o.server, o.ahead, "against deployloop"))
	}
	return found
}

func skewed(whose string, ahead time.Duration, against string) Finding {
	way := "ahead"
	if ahead < 0 {
		way = "behind"
	}
	f := Warn(CauseClockSkew, fmt.Sprintf("its clock is %s %s, %s", ahead.Abs(), way, against),
		"set the time there: timedatectl set-ntp true (or chronyc makestep)")
	f.Target = whose
	if ahead.Abs() > clockBreak {
		f.Status = Failure
		f.What += ": alerts begin late, or end while they are true"
	}
	return f
}
