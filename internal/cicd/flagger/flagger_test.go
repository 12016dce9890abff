package flagger

import (
	"testing"

	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
)

func TestGolden(t *testing.T) { cicdtest.Golden(t, Parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, Parse) }
