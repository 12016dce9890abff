package wording

import (
	"fmt"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Notice says what nobody said of a deployment, and the next step. requests is
// about how many the service had; it matters to a dark one alone.
func Notice(kind event.NoticeKind, d event.Deployment, requests float64) string {
	what, where := OneLine(d.Service+" "+d.Label(), 2*nameLimit), OneLine(d.Environment, nameLimit)
	switch kind {
	case event.NoticeUntracked:
		return fmt.Sprintf("%s runs in %s, and no deploy source told of it: add a webhook or `deployloop mark` to what deployed it", what, where)
	case event.NoticePhantom:
		return fmt.Sprintf("%s was deployed to %s, and none of its telemetry comes: look whether it runs, whether it sends here, and what it calls its version", what, where)
	case event.NoticeDark:
		return fmt.Sprintf("%s runs in %s and serves no request, of about %s that the service had: look whether traffic is routed to it", what, where, Count(requests))
	}
	return ""
}

// Silence says until when and by whom an alert is silenced.
func Silence(s event.Silence) string {
	text := "silenced until " + Date(s.Until)
	if by := OneLine(s.By, nameLimit); by != "" {
		text += " by " + by
	}
	return join(": ", text, OneLine(s.Comment, messageLimit))
}

// DigestHeadline is a digest in one line: "3 deployments watched, 1 would have
// alerted, 2 alerts open".
func DigestHeadline(d event.Digest) string {
	parts := []string{plural(d.Deployments, "deployment") + " watched"}
	missing := func(list string) int {
		for _, m := range d.More {
			if m.List == list {
				return m.Count
			}
		}
		return 0
	}
	if n := len(d.Alerted) + missing("alerted"); n > 0 {
		parts = append(parts, Count(float64(n))+" alerted")
	}
	parts = append(parts, Count(float64(len(d.WouldAlert)+missing("would_have_alerted")))+" would have alerted")
	if n := len(d.Unclosed) + missing("unclosed"); n > 0 {
		parts = append(parts, plural(n, "alert")+" open")
	} else {
		parts = append(parts, "nothing open")
	}
	return strings.Join(parts, ", ")
}

// Digest is a whole digest as text, one fact a line.
func Digest(d event.Digest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s: %s\n", Date(d.From), Date(d.Till), DigestHeadline(d))
	if len(d.Verdicts) > 0 {
		var counts []string
		for _, v := range d.Verdicts {
			name := string(v.Verdict)
			if name == "" {
				name = "not judged"
			}
			counts = append(counts, Count(float64(v.Count))+" "+name)
		}
		fmt.Fprintf(&b, "verdicts: %s\n", strings.Join(counts, ", "))
	}
	if len(d.Closed) > 0 {
		var counts []string
		for _, c := range d.Closed {
			counts = append(counts, Count(float64(c.Count))+" "+strings.ReplaceAll(string(c.Reason), "_", " "))
		}
		fmt.Fprintf(&b, "closed: %s\n", strings.Join(counts, ", "))
	}
	alerts := func(title string, list []event.DigestAlert) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", title)
		for _, a := range list {
			fmt.Fprintf(&b, "  %s  %s\n", OneLine(a.ID, nameLimit), OneLine(a.Summary, 2*messageLimit))
			if a.Closure != nil {
				fmt.Fprintf(&b, "                %s\n", Resolution(*a.Closure))
			}
			if a.Silence != nil {
				fmt.Fprintf(&b, "                %s\n", Silence(*a.Silence))
			}
		}
	}
	alerts("Would have alerted (mode shadow):", d.WouldAlert)
	alerts("Alerted:", d.Alerted)
	alerts("Still open:", d.Unclosed)
	if len(d.Notices) > 0 {
		b.WriteString("\nNobody said:\n")
		for _, n := range d.Notices {
			fmt.Fprintf(&b, "  %-12s  %s\n", n.Kind, OneLine(n.Detail, 4*messageLimit))
		}
	}
	for _, m := range d.More {
		fmt.Fprintf(&b, "\n%s more in %s\n", Count(float64(m.Count)), strings.ReplaceAll(m.List, "_", " "))
	}
	return b.String()
}
