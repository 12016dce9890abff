//go:build !race

package consoleextension

const raceDetector = false
