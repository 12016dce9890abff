package cilog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/deployloop/deployloop/internal/logpattern"
)

// maxTemplates bounds what is kept of the logs that passed: 8 bytes each.
const maxTemplates = 1 << 16

// Baseline is what logs of a job that passed leave behind: hashes of their
// masked lines. The zero value knows nothing. Many may read it at once;
// nothing may while it learns.
type Baseline struct {
	known   map[uint64]struct{}
	omitted int // lines whose template had no room
	masker  logpattern.Masker
}

// Learn takes in a log that passed.
func (b *Baseline) Learn(log io.Reader) error {
	r := newReader(log)
	for {
		ok, err := r.next()
		if !ok || err != nil {
			return err
		}
		b.learn(clean(r.text))
	}
}

func (b *Baseline) learn(text string) {
	if b.known == nil {
		b.known = map[uint64]struct{}{}
	}
	// What lines share that differ only in numbers, hashes, paths' ids and quoted text.
	hash := b.masker.Hash(text)
	if _, known := b.known[hash]; !known && len(b.known) >= maxTemplates {
		b.omitted++
		return
	}
	b.known[hash] = struct{}{}
}

// Len is how many templates it holds; Omitted how many lines found no room.
func (b *Baseline) Len() int     { return len(b.known) }
func (b *Baseline) Omitted() int { return b.omitted }

// MarshalText is the baseline in a line of text: its hashes, sorted.
func (b *Baseline) MarshalText() ([]byte, error) {
	hashes := make([]uint64, 0, len(b.known))
	for h := range b.known {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	raw := make([]byte, 0, 8*len(hashes))
	for _, h := range hashes {
		raw = binary.LittleEndian.AppendUint64(raw, h)
	}
	return base64.RawStdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote.
func (b *Baseline) UnmarshalText(text []byte) error {
	raw, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("the lines of logs that passed: %w", err)
	}
	if len(raw)%8 != 0 || len(raw)/8 > maxTemplates {
		return errors.New("the lines of logs that passed: this is no list of hashes")
	}
	b.known, b.omitted = make(map[uint64]struct{}, len(raw)/8), 0
	for ; len(raw) > 0; raw = raw[8:] {
		b.known[binary.LittleEndian.Uint64(raw)] = struct{}{}
	}
	return nil
}
