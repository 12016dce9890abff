package suspect

// Weights are what the features of a candidate count, in nats.
type Weights struct {
	Feature [featCount]float64
	// Other is the score of "something else": no commit of the range did it. A
	// candidate without any evidence scores 0.
	Other float64
	// Sure corrects the probability p of the first candidate by how often such
	// a one was right: logit = Sure[0] + Sure[1]·logit(p) + Sure[2]·direct, where
	// direct is 1 when a line, a file, a literal or a function of the symptom
	// was found in it, and 0 when only words and sizes speak for it.
	Sure [3]float64
}

// Prior is what the weights are held to be before any data is seen
// (docs/detection.md, "Attribution"), and where the data says nothing.
var Prior = Weights{
	Feature: [featCount]float64{
		featLine: 4, featFile: 2, featTestFrame: .3, featFunction: 2, featLiteral: 4, featSubject: 2, featTestFile: .3, featPackage: .5,
		featPathWords: 1, featTextWords: 1, featDiffWords: 1, featSpecial: .5, featChurn: 1, featNoCode: -1, featDocsOnly: -1,
		featPlaceChurn: 1, featTestLine: 2, featBreadth: 0, featCosmetic: -1.5, featBalanced: -.5, featChurnElsewhere: -1, featReported: 1.5,
	},
	Other: 1,
	Sure:  [3]float64{0, 1, 0},
}

// Default are the weights in use: fitted on all cases by
//
//	go run ./test/suspects -fit
//
// on metadata of Defects4J (MIT) and regs4j; a test holds the two in step.
var Default = Weights{
	Feature: [featCount]float64{
		featLine: 3.27, featFile: 1.78, featTestFrame: -.26, featFunction: 2, featLiteral: 4, featSubject: .41, featTestFile: .49, featPackage: -.57,
		featPathWords: 3.02, featTextWords: 2.57, featDiffWords: 1, featSpecial: .89, featChurn: 3.76, featNoCode: -.79, featDocsOnly: -.24,
		featPlaceChurn: .60, featTestLine: 2.74, featBreadth: .09, featCosmetic: -2.78, featBalanced: -.36, featChurnElsewhere: -.99, featReported: 1.5,
	},
	Other: 3.44,
	Sure:  [3]float64{-.22, .47, .21},
}
