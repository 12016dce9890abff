package anomalyconnector

import (
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

func rankCommits(_ suspect.Symptom, _ []suspect.Commit) event.Suspicion {
	return event.Suspicion{Abstained: true}
}
