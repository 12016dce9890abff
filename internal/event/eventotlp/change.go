package eventotlp

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeChange writes c as one record; its timestamp is the commit's.
func EncodeChange(c event.Change, record plog.LogRecord) {
	begin(record, event.NameChange, c.At)
	bindChange(&attributes{record: record.Attributes()}, &c)
	say(record, fmt.Sprintf("commit %s by %s in %s: %s", event.ShortRevision(c.Revision), c.Author, c.Repository, firstLine(c.Message)))
}

// DecodeChange reads a commit; one without a revision is an error.
func DecodeChange(resource pcommon.Resource, record plog.LogRecord) (event.Change, error) {
	var c event.Change
	a := &attributes{record: record.Attributes(), decoding: true}
	bindChange(a, &c)
	if err := a.err(); err != nil {
		return event.Change{}, err
	}
	c.At = fromTimestamp(record.Timestamp())
	if c.Repository == "" {
		c.Repository = repositoryOf(resource.Attributes())
	}
	if c.Revision == "" {
		return event.Change{}, errors.New("a change needs the attribute " + event.AttrRevision)
	}
	return c, nil
}

func bindChange(a *attributes, c *event.Change) {
	a.repository(&c.Repository)
	text(a, &c.Ref, event.AttrRefName)
	text(a, &c.Revision, event.RevisionNames[0], event.RevisionNames[1:]...)
	list(a, &c.Parents, event.AttrChangeParents)
	text(a, &c.Previous, event.AttrBaseRevision)
	a.flag(&c.Forced, event.AttrChangeForced)
	text(a, &c.Message, event.AttrChangeMessage)
	text(a, &c.Author, event.AttrChangeAuthor)
	text(a, &c.Email, event.AttrChangeEmail)
	text(a, &c.URL, event.AttrURL)
	text(a, &c.CompareURL, event.AttrChangeCompareURL)
	text(a, &c.PullURL, event.AttrChangePullURL)
	text(a, &c.PullHead, event.AttrChangePullHead)
	list(a, &c.Added, event.AttrChangeAdded)
	list(a, &c.Modified, event.AttrChangeModified)
	list(a, &c.Removed, event.AttrChangeRemoved)
}
