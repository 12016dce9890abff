package cilog

// Weights are what the features count, in nats, and from where a line is taken.
type Weights struct {
	Feature   [featCount]float64
	Bias      float64
	Threshold float64 // least score of a line that is taken
}

// Score is the log odds that a line with these features explains the failure.
func (w *Weights) Score(v Vector) float64 {
	score := w.Bias
	for f := range featCount {
		if v.has(f) {
			score += w.Feature[f]
		}
	}
	return score
}

// Compared are the weights in use where a log that passed is known, Alone those
// where none is. Both are fitted on all marked logs by
//
//	go run ./test/cilogs -fit
//
// and a test holds the two in step. cilog/backtest judges weights that the
// judged repository had no part in.
var (
	Compared = Weights{
		Feature: [featCount]float64{
			featNew: 4.18, featNewError: 3.83, featNewWord: 0.68, featError: 0.13, featWarn: -0.84,
			featInfo: -1.06, featStrong: 0.22, featWeak: 1.12, featAssert: 0.4, featException: 0.87,
			featFrame: 0.33, featPlace: 2.52, featVerdict: -1.85, featHelp: -2.47, featSummary: -0.17,
			featProgress: -1.48, featCommand: -0.3, featIndented: -0.15, featContinues: -0.24, featHeadNew: 2.98,
			featHeadError: 0.13, featHeadNewError: 3.39, featHeadException: 0.51, featHeadWarn: 0.47, featHeadHelp: -0.01,
			featFar: 1.04, featAfterError: -1.39, featAfterPlace: 1.21, featAfterVerdict: -0.43, featAfterHelp: -1.06,
			featRepeats: 0.44, featNewSinceVerdict: 1.74, featBare: -0.78, featNear: 0.06, featClose: 0.79,
		},
		Bias:      -9.76,
		Threshold: -0.25,
	}
	Alone = Weights{
		Feature: [featCount]float64{
			featNew: -0.5, featNewError: 2.68, featNewWord: 0.85, featError: 0.5, featWarn: -0.98,
			featInfo: -1.98, featStrong: 0.98, featWeak: 1.55, featAssert: 1.18, featException: 1.2,
			featFrame: 2.18, featPlace: 2.25, featVerdict: -1.78, featHelp: -2.39, featSummary: -0.3,
			featProgress: -0.98, featCommand: -0.75, featIndented: 0.21, featContinues: 0.13, featHeadNew: 0.13,
			featHeadError: 0.7, featHeadNewError: 3.46, featHeadException: 1.22, featHeadWarn: 0.41, featHeadHelp: -0.22,
			featFar: 0.41, featAfterError: -0.37, featAfterPlace: 0.69, featAfterVerdict: 0.61, featAfterHelp: -1.08,
			featRepeats: -0.9, featNewSinceVerdict: 0.61, featBare: -1.22, featNear: 2.69, featClose: 5.29,
		},
		Bias:      -12.45,
		Threshold: -0.50,
	}
)
