package ledger

import (
	"bytes"
	"compress/gzip"
	"io"
	"time"
)

// Documents keeps what verdicts stand on: one document a deployment, the newest.
type Documents interface {
	// RecordEvidence keeps a document of at most 8 MiB, as of at. A larger one
	// is dropped and counted as "evidence".
	RecordEvidence(deploymentID string, at time.Time, document []byte)
	// Evidence gives it back, by the deployment's id or alias.
	Evidence(deploymentID string) ([]byte, bool)
}

var _ Documents = (*Ledger)(nil)

const (
	maxDocument       = 8 << 20  // bytes of one, plain
	maxDocumentsBytes = 64 << 20 // of all, compressed
)

// evidence is a document as it is held.
type evidence struct {
	Gzip []byte `json:"gzip"`
}

// RecordEvidence implements Documents.
func (l *Ledger) RecordEvidence(deploymentID string, at time.Time, document []byte) {
	id := cut(deploymentID, maxName)
	if id == "" {
		return
	}
	var packed bytes.Buffer
	if len(document) <= maxDocument {
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(document) // a buffer takes all
		_ = z.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if packed.Len() == 0 {
		l.dropped["evidence"]++
		return
	}
	if d := l.find(id); d != nil {
		id = d.ID
	}
	l.clock(at)
	l.documents.Remove(id) // counts its bytes out
	l.documentBytes += packed.Len()
	put(l, l.documents, kindEvidence, "evidence", id, evidence{packed.Bytes()})
	l.trimDocuments()
}

// trimDocuments lets the least recently told go until all fit.
func (l *Ledger) trimDocuments() {
	for l.documentBytes > maxDocumentsBytes && l.documents.Len() > 1 {
		l.documents.RemoveOldest()
		l.dropped["evidence"]++
	}
}

// Evidence implements Documents.
func (l *Ledger) Evidence(deploymentID string) ([]byte, bool) {
	l.mu.RLock()
	packed, ok := l.documents.Peek(deploymentID)
	if d := l.find(deploymentID); !ok && d != nil {
		packed, ok = l.documents.Peek(d.ID)
	}
	l.mu.RUnlock()
	if !ok {
		return nil, false
	}
	z, err := gzip.NewReader(bytes.NewReader(packed.Value.Gzip))
	if err != nil { // damaged in the storage
		return nil, false
	}
	document, err := io.ReadAll(io.LimitReader(z, maxDocument))
	return document, err == nil
}
