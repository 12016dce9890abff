package anomalyconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/digest"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/notice"
	"github.com/deployloop/deployloop/internal/wording"
)

const (
	// maxNotices bounds what is told of at one time; what does not fit is told
	// when there is room.
	maxNotices = 1000
	// lookEvery is how often it is looked for what nobody said: its conditions
	// are minutes long.
	lookEvery = 15 * time.Second

	day = 24 * time.Hour
	// maxDigests bounds those of days that ended while no collector ran.
	maxDigests = 7
)

// noticeKey is the identity of a notice: a deployment can have one of a kind.
type noticeKey struct {
	kind       event.NoticeKind
	deployment string
}

// unsaid tells what nobody said, when it begins and when it ends, and a digest
// of the day at midnight UTC, or after it when nothing ran then. Only the loop's
// goroutine uses it.
type unsaid struct {
	open   map[noticeKey]event.Notice
	looked time.Time
	day    time.Time // till when digests were told: a midnight, UTC
}

func (m *monitor) tellUnsaid(now time.Time) {
	u := &m.unsaid
	if now.Sub(u.looked) < lookEvery {
		return
	}
	u.looked = now
	found, _ := notice.Find(m.ledger, now, maxNotices)
	open := make(map[noticeKey]event.Notice, len(found))
	for _, n := range found {
		key := noticeKey{n.Kind, n.Deployment}
		if _, told := u.open[key]; !told {
			m.tellNotice(key, n)
		}
		open[key] = n
	}
	for key, n := range u.open {
		if _, still := open[key]; !still {
			n.Open, n.At = false, now
			m.tellNotice(key, n)
		}
	}
	u.open = open

	today := now.UTC().Truncate(day)
	if !today.After(u.day) {
		return
	}
	begun := u.day
	u.day = today
	// Noted before it is told: a crash in between costs a digest, and none is
	// told twice.
	m.saveDay(today)
	if begun.IsZero() {
		return // the first start ever: the day before was not watched
	}
	if oldest := today.Add(-maxDigests * day); begun.Before(oldest) {
		begun = oldest
	}
	for ; begun.Before(today); begun = begun.Add(day) {
		m.tellDigest(digest.Of(m.ledger, begun, begun.Add(day)))
	}
}

func (m *monitor) tellNotice(key noticeKey, n event.Notice) {
	m.logger.Info("nobody said", zap.String("kind", string(n.Kind)), zap.Bool("open", n.Open), zap.String("service", n.Service),
		zap.String("environment", n.Environment), zap.String("deployment", n.Deployment), zap.String("detail", n.Detail))
	m.outbox.put(record{key: "notice/" + string(key.kind) + "/" + key.deployment, encode: func(r plog.LogRecord) { eventotlp.EncodeNotice(n, r) }})
}

func (m *monitor) tellDigest(d event.Digest) {
	m.logger.Info("the day in sum", zap.String("digest", wording.DigestHeadline(d)), zap.Time("from", d.From), zap.Time("till", d.Till))
	m.outbox.put(record{key: "digest/" + d.From.Format(time.DateOnly), encode: func(r plog.LogRecord) { eventotlp.EncodeDigest(d, r) }})
}
