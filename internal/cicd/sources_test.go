package cicd_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/argocd"
	"github.com/deployloop/deployloop/internal/cicd/cdevents"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
	"github.com/deployloop/deployloop/internal/cicd/flagger"
	"github.com/deployloop/deployloop/internal/cicd/flux"
	"github.com/deployloop/deployloop/internal/cicd/gitea"
	"github.com/deployloop/deployloop/internal/cicd/github"
	"github.com/deployloop/deployloop/internal/cicd/gitlab"
	"github.com/deployloop/deployloop/internal/cicd/jenkins"
	"github.com/deployloop/deployloop/internal/cicd/spinnaker"
)

var sources = map[string]cicdtest.Parse{
	"github":    func(d cicd.Delivery) (cicd.Intake, error) { return github.Parse(d, github.Options{}) },
	"gitea":     func(d cicd.Delivery) (cicd.Intake, error) { return gitea.Parse(d, github.Options{}) },
	"gitlab":    func(d cicd.Delivery) (cicd.Intake, error) { return gitlab.Parse(d, gitlab.Options{}) },
	"jenkins":   jenkins.Parse,
	"argocd":    argocd.Parse,
	"flux":      flux.Parse,
	"flagger":   flagger.Parse,
	"spinnaker": spinnaker.Parse,
	"cdevents":  cdevents.Parse,
}

// A payload of another source, or of none, gives an error or nothing: never a
// panic, never half an event.
func TestSourcesTakeEachOthersPayloads(t *testing.T) {
	files, err := filepath.Glob("*/testdata/*/delivery.json")
	require.NoError(t, err)
	require.Greater(t, len(files), len(sources))
	var deliveries []cicd.Delivery
	for _, file := range files {
		deliveries = append(deliveries, cicdtest.Delivery(t, file))
	}
	for _, body := range []string{`{}`, `[]`, `null`, `7`, ``, `{`, `[null]`, `{"data":null}`} {
		deliveries = append(deliveries, cicd.Delivery{Body: []byte(body)})
	}
	for name, parse := range sources {
		t.Run(name, func(t *testing.T) {
			for _, d := range deliveries {
				for _, event := range []string{"push", "workflow_run", "deployment_status", d.Event} {
					d.Event, d.ReceivedAt = event, cicdtest.ReceivedAt
					in, err := parse(d)
					cicdtest.Check(t, in, err)
				}
			}
		})
	}
}
