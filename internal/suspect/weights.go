package suspect

// Weights are what the features of a candidate count, in nats.
type Weights struct {
	Feature [featCount]float64
	// Other is the score of "something else": no commit of the range did it. A
	// candidate without any evidence scores 0.
	Other float64
}

// Prior is what the weights are held to be before any data is seen
// (docs/detection.md, "Attribution"), and where the data says nothing.
var Prior = Weights{
	Feature: [featCount]float64{
		featLine: 4, featFile: 2, featTestFrame: .3, featFunction: 2, featLiteral: 4, featSubject: 2, featTestFile: .3, featPackage: .5,
		featPathWords: 1, featTextWords: 1, featDiffWords: 1, featSpecial: .5, featChurn: 1, featNoCode: -1, featDocsOnly: -1,
	},
	Other: 1,
}

// Default are the weights in use.
var Default = Prior
