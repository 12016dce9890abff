package anomalyconnector

import (
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// rankCommits ranks the commits of a range by how well each explains a symptom.
func rankCommits(symptom suspect.Symptom, commits []suspect.Commit) event.Suspicion {
	return suspect.Rank(symptom, commits, suspect.Options{})
}
