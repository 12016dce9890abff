package gitlab

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
	"github.com/deployloop/deployloop/internal/event"
)

func TestGolden(t *testing.T) { cicdtest.Golden(t, parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, parse) }

func parse(d cicd.Delivery) (cicd.Intake, error) {
	return Parse(d, Options{ReleaseEnvironment: "production"})
}

func TestGitLabDeploymentStates(t *testing.T) {
	for status, want := range map[string]event.DeploymentStatus{
		"running": event.DeploymentStarted, "success": event.DeploymentSucceeded, "failed": event.DeploymentFailed,
		"created": "", "canceled": "", "blocked": "",
	} {
		in, err := parse(cicd.Delivery{Body: []byte(`{"object_kind":"deployment","status":"` + status + `","deployment_id":1,"environment":"production","short_sha":"9f2c1abf","project":{"name":"shop","path_with_namespace":"acme/shop"}}`), ReceivedAt: cicdtest.ReceivedAt})
		require.NoError(t, err)
		if want == "" {
			require.Contains(t, in.Ignored, status)
		} else {
			require.Equal(t, want, in.Deployments[0].Status)
			require.Equal(t, "9f2c1abf", in.Deployments[0].Revision)
		}
	}
}
