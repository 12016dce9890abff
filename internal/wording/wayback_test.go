package wording

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/deployloop/deployloop/internal/event"
)

// TestFixBehindABadVersion: 1.41.3 regressed, as the deployment that replaced it;
// each source tells its own number of the good one before, or none.
func TestFixBehindABadVersion(t *testing.T) {
	const words = "Deploy 1.40.0 of checkout to production again, the way 1.42.0 was deployed."
	for name, c := range map[string]struct {
		source, object string
		good           string // the release
		own            string
		nothingGood    bool
		want           string
	}{
		"kubectl":               {"kubectl", "shop/deployment/checkout", "40", "", false, "kubectl rollout undo deployment/checkout -n shop --to-revision=40   # back to 1.40.0"},
		"kubectl, no number":    {"kubectl", "shop/deployment/checkout", "", "", false, words},
		"helm":                  {"helm", "shop/checkout", "5", "", false, "helm rollback checkout 5 -n shop --wait   # back to 1.40.0"},
		"helm, no number":       {"helm", "shop/checkout", "", "", false, words},
		"argo rollouts, none":   {"argo_rollouts", "shop/checkout", "", "", false, words},
		"flagger":               {"flagger", "shop/checkout", "", "", false, words},
		"flux, none":            {"flux", "HelmRelease/shop/checkout", "", "", false, words},
		"argocd":                {"argocd", "argocd/checkout", "39", "", false, "argocd app set checkout --sync-policy none && argocd app rollback checkout 39   # back to 1.40.0, auto-sync is off then"},
		"argocd, no number":     {"argocd", "argocd/checkout", "", "", false, "argocd app history checkout   # then: argocd app rollback checkout ID, of 1.40.0"},
		"gitlab, in words":      {"gitlab", "https://gitlab.example/acme/shop", "", "", false, "In GitLab: Operate › Environments › production, and press Rollback on 1.40.0"},
		"its own command":       {"helm", "shop/checkout", "5", "./roll back", false, "./roll back"},
		"its own template":      {"helm", "shop/checkout", "5", "make deploy TO={previous_version}", false, "make deploy TO=1.40.0"},
		"nothing good is known": {"helm", "shop/checkout", "", "", true, "helm rollback checkout 6 -n shop --wait   # back to 1.41.3"},
	} {
		t.Run(name, func(t *testing.T) {
			v := verdict()
			v.Deployment.RollbackCommand = c.own
			v.Deployment.Sources = []event.Source{{Name: c.source, Object: c.object, Release: "7", Previous: "6"}}
			v.WayBack = &event.WayBack{Regressed: []string{"1.41.3"}}
			if !c.nothingGood {
				v.WayBack.Good = &event.Deployment{Version: "1.40.0", Sources: []event.Source{
					{Name: c.source, Object: "other/thing", Release: "1"}, {Name: c.source, Object: c.object, Release: c.good},
				}}
			}
			assert.Equal(t, c.want, Fix(v))
			assert.Equal(t, "6", v.Deployment.Sources[0].Previous, "what is known stays")
		})
	}
}

func TestBadBefore(t *testing.T) {
	good := &event.Deployment{Version: "1.0.0"}
	for want, w := range map[string]*event.WayBack{
		"": nil,
		"1.1.0 had regressed too, the last good version is 1.0.0":                            {Regressed: []string{"1.1.0"}, Good: good},
		"1.1.0 had regressed too, no good version is known here":                             {Regressed: []string{"1.1.0"}},
		"1.1.4, 1.1.3, 1.1.2 and 2 before had regressed too, the last good version is 1.0.0": {Regressed: []string{"1.1.4", "1.1.3", "1.1.2", "1.1.1", "1.1.0"}, Good: good},
		"the version before had regressed too, no good version is known here":                {Regressed: []string{""}},
	} {
		assert.Equal(t, want, BadBefore(w))
	}
	v := verdict()
	v.WayBack = &event.WayBack{Regressed: []string{"1.41.3"}, Good: good}
	assert.Contains(t, WhatChanged(v), "; told by api, telemetry; 1.41.3 had regressed too, the last good version is 1.0.0")
}
