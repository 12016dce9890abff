package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-rollouts/metricproviders/webmetric"
	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	arguments "github.com/argoproj/argo-rollouts/utils/template"
	flagger "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
	"github.com/fluxcd/flagger/pkg/controller"
	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/runtime"
)

// find gives the first object of a type in a file.
func find[T runtime.Object](file string) (found T, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return found, err
	}
	objects, err := decode(text)
	if err != nil {
		return found, fmt.Errorf("%s: %w", file, err)
	}
	for _, object := range objects {
		if o, ok := object.(T); ok {
			return o, nil
		}
	}
	return found, fmt.Errorf("%s has no %T", file, found)
}

// measurement is what Argo Rollouts makes of an answer of the gate.
type measurement struct {
	Phase   rollouts.AnalysisPhase `json:"phase"` // Successful | Failed | Inconclusive | Error
	Value   string                 `json:"value"`
	Message string                 `json:"message"`
}

// measure takes one measurement of the template's first metric with Argo
// Rollouts' web provider, its arguments filled in as the controller does.
func measure(file string, values map[string]string) (*measurement, error) {
	analysis, err := find[*rollouts.AnalysisTemplate](file)
	if err != nil {
		return nil, err
	}
	given := analysis.Spec.Args
	for i := range given {
		value, ok := values[given[i].Name]
		if !ok {
			return nil, fmt.Errorf("-arg %s=… is missing", given[i].Name)
		}
		given[i].Value, given[i].ValueFrom = &value, nil
		delete(values, given[i].Name)
	}
	for name := range values {
		return nil, fmt.Errorf("the template has no argument %s", name)
	}
	text, err := json.Marshal(analysis.Spec.Metrics[0])
	if err != nil {
		return nil, err
	}
	resolved, err := arguments.ResolveQuotedArgs(string(text), given)
	if err != nil {
		return nil, err
	}
	var metric rollouts.Metric
	if err := json.Unmarshal([]byte(resolved), &metric); err != nil {
		return nil, err
	}
	client, err := webmetric.NewWebMetricHttpClient(metric)
	if err != nil {
		return nil, err
	}
	parser, err := webmetric.NewWebMetricJsonParser(metric)
	if err != nil {
		return nil, err
	}
	m := webmetric.NewWebMetricProvider(*logrus.NewEntry(logrus.New()), client, parser).Run(&rollouts.AnalysisRun{}, metric)
	return &measurement{m.Phase, m.Value, m.Message}, nil
}

// webhookAnswer is what Flagger makes of an answer of a webhook.
type webhookAnswer struct {
	Passed  bool   `json:"passed"`
	Message string `json:"message"` // becomes the Canary's event
}

// callWebhook calls one webhook of a Canary as Flagger does.
func callWebhook(file, hook, phase string) (*webhookAnswer, error) {
	canary, err := find[*flagger.Canary](file)
	if err != nil {
		return nil, err
	}
	canary.Status.Phase = flagger.CanaryPhase(phase)
	for _, w := range canary.GetAnalysis().Webhooks {
		if w.Name != hook {
			continue
		}
		if w.Type == flagger.EventHook {
			err = controller.CallEventWebhook(canary, w, "New revision detected", "Normal")
		} else {
			err = controller.CallWebhook(*canary, canary.Status.Phase, w)
		}
		if err != nil {
			return &webhookAnswer{false, err.Error()}, nil
		}
		return &webhookAnswer{Passed: true}, nil
	}
	return nil, fmt.Errorf("the Canary has no webhook %q", hook)
}
