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
			featNew: 4.18, featNewError: 3.8, featNewWord: 0.71, featError: 0.17, featWarn: -0.81,
			featInfo: -1.09, featStrong: 0.21, featWeak: 1.12, featAssert: 0.39, featException: 0.89,
			featFrame: 0.3, featPlace: 2.59, featVerdict: -1.86, featHelp: -2.5, featSummary: -0.19,
			featProgress: -1.42, featCommand: -0.31, featIndented: -0.16, featContinues: -0.26, featHeadNew: 2.96,
			featHeadError: 0.14, featHeadNewError: 3.39, featHeadException: 0.5, featHeadWarn: 0.47, featHeadHelp: -0.01,
			featFar: 1.04, featAfterError: -1.36, featAfterPlace: 1.22, featAfterVerdict: -0.38, featAfterHelp: -1.09,
			featRepeats: 0.05, featNewSinceVerdict: 1.69, featBare: -0.79, featOften: -0.16, featNear: 0.03,
			featClose: 0.74,
		},
		Bias:      -9.66,
		Threshold: 0.00,
	}
	Alone = Weights{
		Feature: [featCount]float64{
			featNew: -0.49, featNewError: 2.88, featNewWord: 1.01, featError: 0.6, featWarn: -0.92,
			featInfo: -1.93, featStrong: 0.89, featWeak: 1.57, featAssert: 1.13, featException: 1.26,
			featFrame: 2.04, featPlace: 2.32, featVerdict: -1.78, featHelp: -2.52, featSummary: -0.33,
			featProgress: -0.91, featCommand: -0.71, featIndented: 0.23, featContinues: 0.15, featHeadNew: 0.15,
			featHeadError: 0.75, featHeadNewError: 3.41, featHeadException: 1.22, featHeadWarn: 0.41, featHeadHelp: -0.21,
			featFar: 0.42, featAfterError: -0.33, featAfterPlace: 0.86, featAfterVerdict: 0.62, featAfterHelp: -1.16,
			featRepeats: -1.35, featNewSinceVerdict: 0.62, featBare: -1.15, featOften: -0.09, featNear: 2.59,
			featClose: 5.12,
		},
		Bias:      -12.33,
		Threshold: -0.50,
	}
)
