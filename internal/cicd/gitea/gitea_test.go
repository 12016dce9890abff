package gitea

import (
	"testing"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
	"github.com/deployloop/deployloop/internal/cicd/github"
)

func parse(d cicd.Delivery) (cicd.Intake, error) {
	return Parse(d, github.Options{ReleaseEnvironment: "production"})
}

func TestGolden(t *testing.T) { cicdtest.Golden(t, parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, parse) }
