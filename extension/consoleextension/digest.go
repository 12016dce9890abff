package consoleextension

import (
	"fmt"
	"net/http"
	"time"

	loopdigest "github.com/deployloop/deployloop/internal/digest"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/notice"
)

const (
	// digestSince is the period of a digest that names none, and digestLimit
	// the longest: the ledger's own default retention.
	digestSince = 24 * time.Hour
	digestLimit = 720 * time.Hour
	// shownNotices bounds what the page lists of what nobody said.
	shownNotices = 100
)

// GET /api/v1/digest?since=24h: the period that ends now, in sum.
func (s *site) apiDigest(w http.ResponseWriter, r *http.Request) {
	v, _, ok := s.parameters(w, r, "since")
	if !ok {
		return
	}
	since := digestSince
	if text := v.Get("since"); text != "" {
		var err error
		if since, err = time.ParseDuration(text); err != nil || since <= 0 || since > digestLimit {
			s.apiError(w, r, http.StatusBadRequest, fmt.Sprintf("since is %q", text), "use a duration up to 720h, for example since=24h")
			return
		}
	}
	now := s.now().UTC()
	s.writeJSON(w, r, http.StatusOK, struct {
		Digest event.Digest `json:"digest"`
	}{loopdigest.Of(s.reader, now.Add(-since), now)})
}

// notices is what nobody said, as it is now.
func (s *site) notices() []event.Notice {
	list, _ := notice.Find(s.reader, s.now(), shownNotices)
	return list
}
