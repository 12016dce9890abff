package grafanaannotationexporter

import (
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// annotation is what Grafana should hold for one deployment.
type annotation struct {
	deployment string // id
	verdict    event.VerdictState
	tags       []string
	text       string
	start, end int64 // Unix milliseconds
}

// maxText bounds what is written; Grafana's tooltip shows a few lines.
const maxText = 4096

// describe is the annotation of a verdict: a pure function, so that two
// replicas and a restart write the same.
func describe(v event.Verdict, consoleURL string, extraTags []string) annotation {
	d := v.Deployment
	tags := []string{
		"deploy", identityTag(d.ID),
		"service:" + d.Service, "env:" + d.Environment, "verdict:" + string(v.State),
	}
	if d.Revision != "" {
		tags = append(tags, "commit:"+event.ShortRevision(d.Revision))
	}
	if d.Version != "" {
		tags = append(tags, "version:"+d.Version)
	}
	if d.RollbackOf != "" {
		tags = append(tags, "rollback")
	}
	for _, t := range extraTags {
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	a := annotation{deployment: d.ID, verdict: v.State, tags: tags, text: text(v, consoleURL), start: d.StartedAt.UnixMilli()}
	// While it rolls out, the region is a point: an end that moves with the
	// clock would be a write every heartbeat.
	a.end = a.start
	if d.FinishedAt.After(d.StartedAt) {
		a.end = d.FinishedAt.UnixMilli()
	}
	return a
}

// identityTag is how an annotation is found again.
func identityTag(deployment string) string { return "deployment:" + deployment }

func text(v event.Verdict, consoleURL string) string {
	d := v.Deployment
	var b strings.Builder
	verb := "deployed"
	if d.RollbackOf != "" {
		verb = "rolled back to"
	}
	fmt.Fprintf(&b, "<b>%s</b> %s %s in %s", html.EscapeString(d.Service), verb, html.EscapeString(d.Label()), html.EscapeString(d.Environment))
	if from := d.PreviousLabel(); from != "" {
		fmt.Fprintf(&b, ", from %s", html.EscapeString(from))
	}
	fmt.Fprintf(&b, "<br>Verdict: <b>%s</b>", html.EscapeString(string(v.State)))
	if v.State != event.Watching && v.Detail != "" {
		// While watching, the detail holds figures that change at every heartbeat.
		fmt.Fprintf(&b, ". %s", html.EscapeString(v.Detail))
	}
	if s := v.Suspicion; s != nil && !s.Abstained && len(s.Suspects) > 0 {
		first := s.Suspects[0]
		subject, _, _ := strings.Cut(first.Change.Message, "\n")
		fmt.Fprintf(&b, "<br>Suspect: %s %s", link(first.Change.URL, event.ShortRevision(first.Change.Revision)), html.EscapeString(subject))
	}
	var links []string
	if consoleURL != "" {
		links = append(links, link(strings.TrimRight(consoleURL, "/")+"/deployments/"+url.PathEscape(d.ID), "verdict"))
	}
	if d.URL != "" {
		links = append(links, link(d.URL, "deployment"))
	}
	if len(links) > 0 {
		b.WriteString("<br>" + strings.Join(links, " · "))
	}
	if b.Len() > maxText {
		return strings.ToValidUTF8(b.String()[:maxText], "") + "…"
	}
	return b.String()
}

// link is an anchor if the address is http(s), else the bare label.
func link(address, label string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return html.EscapeString(label)
	}
	return fmt.Sprintf(`<a href="%s">%s</a>`, html.EscapeString(u.String()), html.EscapeString(label))
}

// same tells whether Grafana's copy already says what a says.
func (a annotation) same(tags []string, text string, start, end int64) bool {
	have, want := slices.Sorted(slices.Values(tags)), slices.Sorted(slices.Values(a.tags))
	if end == 0 {
		end = start
	}
	return slices.Equal(have, want) && text == a.text && start == a.start && end == a.end
}

// searchWindow is where an annotation of a start is looked for: its start may
// have been corrected by a later source.
func searchWindow(start int64) (from, to int64) {
	day := (24 * time.Hour).Milliseconds()
	return start - day, start + day
}
