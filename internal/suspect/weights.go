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
		featPlaceChurn: 1, featTestLine: 2, featBreadth: 0, featCosmetic: -1.5, featBalanced: -.5,
	},
	Other: 1,
}

// Default are the weights in use: fitted on all cases by
//
//	go run ./test/suspects -fit
//
// on metadata of Defects4J (MIT) and regs4j; a test holds the two in step.
var Default = Weights{
	Feature: [featCount]float64{
		featLine: 3.11, featFile: 1.83, featTestFrame: -.23, featFunction: 2, featLiteral: 4, featSubject: .41, featTestFile: .55, featPackage: -.55,
		featPathWords: 2.98, featTextWords: 2.68, featDiffWords: 1, featSpecial: .89, featChurn: 3.76, featNoCode: -.82, featDocsOnly: -.23,
		featPlaceChurn: .5, featTestLine: 2.92, featBreadth: .03, featCosmetic: -1.87, featBalanced: -.42,
	},
	Other: 3.41,
}
