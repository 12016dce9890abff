package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/deployloop/deployloop/internal/setup"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// question of deployloop init; what a flag answered is not asked.
type question struct {
	flag, text, hint string
	get              func() string
	set              func(string)
}

// ask goes through the questions; an answer that cannot be is asked again, an
// empty one takes what stands in brackets; the end of the input is no answer.
func (r *initRequest) ask(in io.Reader, out io.Writer) error {
	a := &r.answers
	list := func(to *[]string) (func() string, func(string)) {
		return func() string { return strings.Join(*to, ",") }, func(s string) {
			*to = nil
			for part := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == ',' || c == ' ' }) {
				*to = append(*to, part)
			}
		}
	}
	one := func(to *string) (func() string, func(string)) {
		return func() string { return *to }, func(s string) { *to = s }
	}
	make := func(flag, text, hint string, get func() string, set func(string)) question {
		return question{flag, text, hint, get, set}
	}
	getAlertmanagers, setAlertmanagers := list(&a.Alertmanagers)
	getWebhooks, setWebhooks := list(&a.Webhooks)
	getBackend, setBackend := one(&a.Backend)
	getRemote, setRemote := one(&a.RemoteWrite)
	getGrafana, setGrafana := one(&a.Grafana)
	getPublic, setPublic := one(&a.PublicURL)
	getMode, setMode := one(&a.Mode)
	p := terminal.NewPainter(out)
	fmt.Fprintf(out, "\n  %s\n  %s\n\n", p.Bold("A configuration for deployloop"), p.Dim("Enter takes what stands in brackets; deployloop init --help has more."))
	lines := bufio.NewScanner(in)
	for _, q := range []question{
		make("alertmanager", "Alertmanager", "URL, e.g. http://127.0.0.1:9093", getAlertmanagers, setAlertmanagers),
		make("grafana", "Grafana, for an annotation of each deployment", "URL, e.g. http://127.0.0.1:3000", getGrafana, setGrafana),
		make("prometheus-remote-write", "Prometheus to write the loop's metrics to", "URL, e.g. http://127.0.0.1:9090/api/v1/write; empty: it scrapes "+a.Metrics, getRemote, setRemote),
		make("backend", "Where telemetry passes on to by OTLP", "host:port or URL; empty: it ends here", getBackend, setBackend),
		make("webhook", "Who sends webhooks", "some of "+strings.Join(setup.Sources, " "), getWebhooks, setWebhooks),
		make("public-url", "The URL by which webhooks reach "+a.CICD, "e.g. https://deploys.example, of a proxy or tunnel", getPublic, setPublic),
		make("mode", "Mode", "shadow: verdicts on the page only; advise: alerts; gate", getMode, setMode),
	} {
		if r.asked(q.flag) || q.flag == "public-url" && len(a.Webhooks) == 0 {
			continue
		}
		for {
			standing := q.get()
			if standing == "" {
				standing = "none"
			}
			fmt.Fprintf(out, "  %s %s [%s] ", p.Bold(q.text), p.Dim("("+q.hint+")"), standing)
			if !lines.Scan() {
				fmt.Fprintln(out)
				return cmp.Or(lines.Err(), errNobodyAnswers)
			}
			before := q.get()
			if text := strings.TrimSpace(lines.Text()); text != "" {
				q.set(text)
			}
			if err := a.Validate(); err != nil {
				fmt.Fprintf(out, "  %s\n", p.Bad(err.Error()))
				q.set(before)
				continue
			}
			break
		}
	}
	return lines.Err()
}

// next are the commands that start what was written.
func (r *initRequest) next(variables []setup.Variable) []string {
	flag := "--config " + wording.ShellQuote(r.file)
	var list []string
	if len(variables) > 0 {
		path := r.environment
		if !strings.ContainsRune(path, filepath.Separator) {
			path = "./" + path
		}
		list = append(list, "set -a; . "+wording.ShellQuote(path)+"; set +a")
	}
	return append(list, "deployloop "+flag, "deployloop doctor "+flag)
}

func (r *initRequest) print(out io.Writer, variables []setup.Variable, values map[string]string) error {
	p := terminal.NewPainter(out)
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("")
	line("  wrote %s", p.Bold(r.file))
	if len(variables) > 0 {
		line("  wrote %s %s", p.Bold(r.environment), p.Dim("secrets; keep it to yourself, out of git"))
	}
	for i, w := range setup.Webhooks(r.answers) {
		if i == 0 {
			line("\n  %s", p.Bold("Webhooks"))
		}
		line("\n  %s: %s", p.Bold(w.Title), w.Where)
		line("    URL           %s", p.Link(w.URL))
		if w.ContentType != "" {
			line("    content type  %s", w.ContentType)
		}
		line("    secret        the value of %s in %s (%s)", w.Secret, r.environment, w.Field)
		line("    events        %s", strings.Join(w.Events, ", "))
		for part := range strings.Lines(w.Snippet) {
			line("      %s", p.Dim(strings.TrimRight(part, "\n")))
		}
	}
	if len(r.answers.Webhooks) > 0 && r.answers.PublicURL == "" {
		line("\n  %s", p.Warn("No --public-url: put the address by which they reach "+r.answers.CICD+" in place of the one above."))
	}
	missing := false
	for _, v := range variables {
		if values[v.Name] == "" {
			if !missing {
				line("\n  %s %s", p.Bold("Fill in"), "in "+r.environment)
			}
			missing = true
			line("    %-14s %s", v.Name, v.What)
		}
	}
	line("\n  %s", p.Bold("Next"))
	for _, command := range r.next(variables) {
		line("    %s", command)
	}
	line("  and on your services: OTEL_EXPORTER_OTLP_ENDPOINT=http://%s, service.version and vcs.ref.head.revision", r.answers.OTLPHTTP)
	line("  in OTEL_RESOURCE_ATTRIBUTES; in the job that deploys: deployloop mark --service S --revision R")
	if r.answers.Guarded() {
		line("  with %s of %s among that job's secrets", setup.TokenVariable, r.environment)
	}
	line("")
	_, err := io.WriteString(out, text.String())
	return err
}
