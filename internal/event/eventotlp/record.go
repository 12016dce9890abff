package eventotlp

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// begin names a fresh record and gives it its time; a zero time leaves it unset.
func begin(record plog.LogRecord, name string, at time.Time) {
	record.SetEventName(name)
	record.SetTimestamp(toTimestamp(at))
	severity(record, plog.SeverityNumberInfo)
}

func severity(record plog.LogRecord, number plog.SeverityNumber) {
	record.SetSeverityNumber(number)
	record.SetSeverityText(strings.ToUpper(number.String()))
}

// say sets the body of a flat event: what a log viewer shows in its line.
func say(record plog.LogRecord, line string) {
	record.Body().SetStr(strings.ToValidUTF8(line, "\uFFFD"))
}

// repository binds the repository as the forge names it, and tells back ends its
// semantic conventions names.
func (a *attributes) repository(field *string) {
	text(a, field, event.AttrRepository)
	if a.decoding {
		if *field == "" {
			*field = repositoryOf(a.record)
		}
		return
	}
	if *field == "" {
		return
	}
	if strings.Contains(*field, "://") {
		a.record.PutStr(event.AttrRepositoryURL, strings.ToValidUTF8(*field, "\uFFFD"))
	}
	name := strings.TrimSuffix(strings.TrimRight(*field, "/"), ".git")
	if name = name[strings.LastIndexByte(name, '/')+1:]; name != "" {
		a.record.PutStr(event.AttrRepositoryName, strings.ToValidUTF8(name, "\uFFFD"))
	}
}

// repositoryOf reads a repository from the semantic conventions names alone.
func repositoryOf(m pcommon.Map) string {
	name := lookup(m, event.AttrRepositoryName)
	if owner := lookup(m, event.AttrOwnerName); owner != "" && name != "" {
		return owner + "/" + name
	}
	if url := lookup(m, event.AttrRepositoryURL); url != "" {
		return url
	}
	return name
}

// firstLine cuts text to its first line, for a body.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return clip(line, 200)
}
