//go:build race

package consoleextension

// raceDetector makes code several times slower; times are not held against it.
const raceDetector = true
