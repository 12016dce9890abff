package setup

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
)

// Variable of the environment that a configuration is read with.
type Variable struct {
	Name string `json:"name"`
	What string `json:"what"`
	// Secret ones are made up here; the others are to be filled in.
	Secret bool `json:"generated"`
}

// TokenVariable holds the token of a receiver that others can reach.
const TokenVariable = "DEPLOYLOOP_CICD_TOKEN"

// secretOf is the variable of a source's webhook secret.
func secretOf(source string) string { return strings.ToUpper(source) + "_WEBHOOK_SECRET" }

// forgeToken is the variable of the token for a forge.
func forgeToken(forge string) string { return strings.ToUpper(forge) + "_TOKEN" }

// Variables that the configuration for the answers reads.
func Variables(a Answers) (list []Variable) {
	for _, s := range a.Webhooks {
		list = append(list, Variable{secretOf(s), "secret of the webhook of " + s, true})
	}
	if a.Guarded() {
		list = append(list, Variable{TokenVariable, "for deployloop mark and report, here and in CI", true})
	}
	if a.Grafana != "" {
		list = append(list, Variable{"GRAFANA_TOKEN", "of a Grafana service account with the role Editor, or annotations:read, :create, :write, :delete", false})
	}
	if a.Forge != "" {
		list = append(list, Variable{forgeToken(a.Forge), tokenNeeds[a.Forge], false})
	}
	return list
}

var tokenNeeds = map[string]string{
	"github": "GitHub token: read and write of Commit statuses, Issues and Pull requests (classic: repo)",
	"gitlab": "GitLab token: scope api, role Developer",
	"gitea":  "Gitea token: write:repository, write:issue, read:user",
}

var assignment = regexp.MustCompile(`^(?:export )?([A-Z][A-Z0-9_]*)=(.*)$`)

// EnvironmentFile is NAME=VALUE lines, as a shell, systemd and containers read
// them. What the former file says is kept, in full: a webhook's secret stands on
// the other side too. values are all that it sets.
func EnvironmentFile(variables []Variable, former string) (text string, values map[string]string) {
	values = map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(former))
	for lines.Scan() {
		if m := assignment.FindStringSubmatch(lines.Text()); m != nil {
			values[m[1]] = strings.Trim(m[2], `'"`)
		}
	}
	var out strings.Builder
	out.WriteString(former)
	if former == "" {
		out.WriteString("# Secrets of deployloop, written by `deployloop init`. Keep this file to yourself.\n")
	} else if !strings.HasSuffix(former, "\n") {
		out.WriteString("\n")
	}
	for _, v := range variables {
		if _, there := values[v.Name]; there {
			continue
		}
		if v.Secret {
			values[v.Name] = rand.Text()
		} else {
			values[v.Name] = ""
		}
		fmt.Fprintf(&out, "\n# %s\n%s=%s\n", v.What, v.Name, values[v.Name])
	}
	return out.String(), values
}
