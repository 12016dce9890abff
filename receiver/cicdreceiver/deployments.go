package cicdreceiver

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// takeDeployment is POST /v1/deployments. The id in its answer is an alias of the
// deployment: the one the request gave, else a new one.
func (r *cicdReceiver) takeDeployment(req *http.Request, body []byte) answer {
	request, err := cicd.ParseDeploymentRequest(body)
	if err != nil {
		return refuse(http.StatusBadRequest, outcomeBadInput, "%s", err)
	}
	now := r.now().UTC()
	if limit := now.Add(time.Hour); request.StartedAt.After(limit) || request.FinishedAt.After(limit) {
		return refuse(http.StatusBadRequest, outcomeBadInput, "started_at or finished_at is more than an hour in the future; it is %s here", now.Format(time.RFC3339))
	}
	id := request.ID
	if id == "" {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails, says its documentation
		id = event.GeneratedIDPrefix + hex.EncodeToString(random[:])
	}
	in := cicd.Intake{Deployments: []event.Deployment{request.Deployment(id, now)}}
	if failure := r.send(req.Context(), "api", in); failure != nil {
		return *failure
	}
	return answer{status: http.StatusAccepted, outcome: outcomeAccepted, body: map[string]string{"id": id}}
}
