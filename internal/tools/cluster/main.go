// Command cluster does to the shipped manifests what a cluster would do, with
// the code that does it there: it decodes them strictly into Kubernetes', Argo
// Rollouts' and Flagger's own types, holds their pods against the restricted
// Pod Security Standard, builds a kustomization, loads a compose file, and lets
// Argo Rollouts' web provider and Flagger's webhooks ask a gate. No API server
// and no container engine takes part.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

const usage = `usage:
  cluster check FILE…                   decode strictly, hold pods against "restricted"
  cluster kustomize DIR                 build, then check
  cluster compose FILE                  load
  cluster argo FILE -arg NAME=VALUE…    take one measurement of an AnalysisTemplate
  cluster flagger FILE -hook NAME [-phase PHASE]   call one webhook of a Canary
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New(usage)
	}
	command, file := args[0], args[1]
	var (
		flags       = flag.NewFlagSet(command, flag.ContinueOnError)
		values      = pairs{}
		hook, phase string
	)
	flags.Var(&values, "arg", "argument of the template, NAME=VALUE; may be repeated")
	flags.StringVar(&hook, "hook", "", "name of the webhook")
	flags.StringVar(&phase, "phase", "Progressing", "phase of the Canary")
	if command != "check" {
		if err := flags.Parse(args[2:]); err != nil {
			return err
		}
	}
	switch command {
	case "check":
		for _, file := range args[1:] {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := check(text); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return nil
	case "kustomize":
		return kustomize(file)
	case "compose":
		return compose(file)
	case "argo":
		return printed(measure(file, values))
	case "flagger":
		return printed(callWebhook(file, hook, phase))
	}
	return errors.New(usage)
}

func printed(answer any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// pairs are repeated flags NAME=VALUE.
type pairs map[string]string

func (p *pairs) String() string { return fmt.Sprint(map[string]string(*p)) }

func (p *pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	(*p)[name] = value
	return nil
}
