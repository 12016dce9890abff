// Package rules carries the Prometheus rules of this folder.
package rules

import _ "embed"

// File is deployloop.yaml: recording and alerting rules over the loop's own metrics.
//
//go:embed deployloop.yaml
var File []byte
