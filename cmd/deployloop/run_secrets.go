package main

import (
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/redact"
	"github.com/deployloop/deployloop/internal/report"
)

// hideIn hides secrets in what a result says. Names stay as they are until they are
// told: a test is known, and run again, by its own.
func hideIn(secrets *redact.Values, i report.Item) report.Item {
	switch {
	case i.Test != nil:
		t := *i.Test
		t.Message, t.Stacktrace = secrets.Text(t.Message), secrets.Text(t.Stacktrace)
		i.Test = &t
	case i.Finding != nil:
		f := *i.Finding
		message := secrets.Text(f.Message)
		if message != f.Message { // of which a tool's fingerprint may be made
			f.Fingerprint = strings.ReplaceAll(f.Fingerprint, f.Message, message)
		}
		f.Message, f.Fingerprint = message, secrets.Hide(f.Fingerprint)
		i.Finding = &f
	}
	return i
}

// hideName hides secrets in the names of what a judgement is about.
func hideName(secrets *redact.Values, j event.Judgement) event.Judgement {
	if j.Test != nil {
		t := *j.Test
		t.Suite, t.Case, t.File = secrets.Hide(t.Suite), secrets.Hide(t.Case), secrets.Hide(t.File)
		j.Test = &t
	}
	return j
}

func hideNames(secrets *redact.Values, list []event.Judgement) {
	for i, j := range list {
		list[i] = hideName(secrets, j)
	}
}
