package cilog

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/deployloop/deployloop/internal/logpattern"
)

// The features of a line. All are 0 or 1: present or not.
const (
	featNew             = iota // no log that passed had a line like it
	featNewError               // it is new and says that it is an error
	featNewWord                // it is new and some word speaks of an error
	featError                  // its level is error
	featWarn                   // its level is warning
	featInfo                   // its level is information or less
	featStrong                 // error, failed, could not …
	featWeak                   // missing, denied, unexpected …
	featAssert                 // expected, actual …
	featException              // the head of an exception, a traceback, a panic
	featFrame                  // a frame of a stack
	featPlace                  // it names a line of a file
	featVerdict                // it says only that the build failed
	featHelp                   // it says where to read more, or how to run again
	featSummary                // it counts: "3 errors", "Tests run: 9"
	featProgress               // it tells a transfer or a percentage
	featCommand                // it echoes a command or tells a task's name
	featIndented               // it begins with white space
	featContinues              // it continues a head: frames, indented or bare lines under it
	featHeadNew                // … that is new
	featHeadError              // … whose level is error
	featHeadNewError           // … that is new and an error
	featHeadException          // … that is an exception
	featHeadWarn               // … that is a warning
	featHeadHelp               // … that is help
	featFar                    // … more than 20 lines above
	featAfterError             // one of the 3 lines before is a new error
	featAfterPlace             // … that names a line of a file
	featAfterVerdict           // the build was said to have failed before
	featAfterHelp              // help came since the last other error
	featRepeats                // an error above says the same
	featNewSinceVerdict        // it is new and comes after the verdict
	featBare                   // it continues without level, indent or form
	featNear                   // one of the last 50 lines
	featClose                  // one of the last 300 lines
	featCount
)

// featureNames are what reasons and reports call the features.
var featureNames = [featCount]string{
	featNew: "new", featNewError: "new error", featNewWord: "new word of an error", featError: "error", featWarn: "warning", featInfo: "information",
	featStrong: "error words", featWeak: "weak error words", featAssert: "assertion", featException: "exception", featFrame: "stack frame",
	featPlace: "line of a file", featVerdict: "verdict", featHelp: "help", featSummary: "count", featProgress: "progress", featCommand: "command",
	featIndented: "indented", featContinues: "continues", featHeadNew: "continues something new", featHeadError: "continues an error",
	featHeadNewError: "continues a new error", featHeadException: "continues an exception", featHeadWarn: "continues a warning", featHeadHelp: "continues help",
	featFar: "far below its head", featAfterError: "after an error", featAfterPlace: "after an error in a file", featAfterVerdict: "after the verdict", featAfterHelp: "after help", featRepeats: "says an error again",
	featNewSinceVerdict: "new after the verdict", featBare: "bare", featNear: "near the end", featClose: "close to the end",
}

// FeatureName is what reports call a feature.
func FeatureName(f int) string { return featureNames[f] }

// FeatureCount is the number of features.
const FeatureCount = featCount

// Vector holds the features of a line as bits.
type Vector uint64

func (v Vector) has(f int) bool { return v>>f&1 == 1 }

func (v *Vector) set(f int, is bool) {
	if is {
		*v |= 1 << f
	}
}

// maxSeen bounds the errors that later ones may repeat.
const maxSeen = 1 << 16

// maxBare is how many lines without a level may continue one that has one.
const maxBare = 200

// maxMessage is how many bare lines the message of an exception may take.
const maxMessage = 5

// state is what the lines before tell of the next one.
type state struct {
	baseline   *Baseline
	masker     logpattern.Masker
	head       Vector // of the line that the following continue; 0: none
	offset     int    // lines since the head
	levelled   bool   // the head has a level, so lines without one continue it
	sinceErr   int    // lines since a new error
	sincePlace int    // lines since one that names a line of a file
	sinceHelp  int    // lines since one of help
	verdict    bool
	seen       map[uint64]struct{} // errors, by what they say behind their level
}

func newState(b *Baseline) *state {
	return &state{baseline: b, sinceErr: far, sincePlace: far, sinceHelp: far, seen: map[uint64]struct{}{}}
}

const far = 1 << 30

// line is the features of the next line, cleaned. A blank one has none.
func (s *state) line(text string) (v Vector, blank bool) {
	lvl, rest := levelOf(text)
	deep := lvl != levelNone && (strings.HasPrefix(rest, "  ") || strings.HasPrefix(rest, "\t")) // "[ERROR]   symbol: …"
	if rest = strings.TrimSpace(rest); ornament(rest) {
		s.offset++
		return 0, true
	}
	indented := text[0] == ' ' || text[0] == '\t'
	v.set(featIndented, indented || deep)
	v.set(featError, lvl == levelError)
	v.set(featWarn, lvl == levelWarn)
	v.set(featInfo, lvl == levelInfo)
	s.words(&v, text, rest, lvl)
	known := false // to a log that passed
	if s.baseline != nil {
		_, known = s.baseline.known[s.masker.Hash(text)]
	}
	speaks := v.has(featStrong) || v.has(featException)
	v.set(featNew, !known)
	v.set(featNewError, !known && (lvl == levelError || v.has(featException)))
	v.set(featNewWord, !known && speaks && lvl != levelError)
	v.set(featAfterVerdict, s.verdict)
	v.set(featNewSinceVerdict, s.verdict && !known)
	v.set(featAfterHelp, s.sinceHelp <= 12)
	v.set(featAfterError, s.sinceErr <= 3)
	v.set(featAfterPlace, s.sincePlace <= 3)
	s.follow(&v, rest, lvl, indented || deep, known)

	s.sinceErr, s.sincePlace, s.sinceHelp = s.sinceErr+1, s.sincePlace+1, s.sinceHelp+1
	if v.has(featHelp) {
		s.sinceHelp = 0
	} else if v.has(featNewError) {
		s.sinceErr = 0
		if v.has(featPlace) {
			s.sincePlace = 0
		}
	}
	s.verdict = s.verdict || v.has(featVerdict)
	if lvl == levelError || speaks {
		hash := xxhash.Sum64String(rest)
		_, again := s.seen[hash]
		v.set(featRepeats, again)
		if len(s.seen) < maxSeen {
			s.seen[hash] = struct{}{}
		}
	}
	return v, false
}

// follow tells whether the line continues a head above, and of what kind.
func (s *state) follow(v *Vector, rest string, lvl level, indented, known bool) {
	bare := lvl == levelNone && !indented && !v.has(featFrame) && !strings.HasPrefix(rest, "Caused") && !strings.HasPrefix(rest, "Also:")
	switch {
	case s.head == 0, v.has(featVerdict), v.has(featHelp), v.has(featCommand), v.has(featProgress), v.has(featSummary),
		lvl != levelNone && !indented,
		bare && (known || v.has(featException) || !(s.levelled && s.offset < maxBare || s.head.has(featException) && s.offset < maxMessage)):
		s.head, s.offset, s.levelled = *v, 0, lvl != levelNone
		return
	}
	s.offset++
	v.set(featContinues, true)
	v.set(featBare, bare)
	v.set(featHeadNew, s.head.has(featNew))
	v.set(featHeadError, s.head.has(featError))
	v.set(featHeadNewError, s.head.has(featNewError))
	v.set(featHeadException, s.head.has(featException))
	v.set(featHeadWarn, s.head.has(featWarn))
	v.set(featHeadHelp, s.head.has(featHelp))
	v.set(featFar, s.offset > 20)
	s.head |= *v & (1 << featException)
}
