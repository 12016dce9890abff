// Package event is deployloop's vocabulary: what is said about a change on its
// way to production, and the only home of attribute, event and metric names.
//
// The types are plain Go; their OTLP codec is package eventotlp, so that the
// pure packages (ledger, detect, suspect) can use the vocabulary without
// importing the Collector. Every name is registered in docs/events.md.
package event
