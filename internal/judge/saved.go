package judge

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// saved is the encoding of a baseline.
type saved struct {
	Repository string    `json:"repository"`
	Ref        string    `json:"ref"`
	Used       time.Time `json:"used"`
	Baseline   *Baseline `json:"baseline"`
}

// Keys lists all baselines, to be kept as the index of what is saved.
func (s *Store) Keys() []string {
	keys := make([]string, 0, len(s.baselines))
	for b := range s.baselines {
		keys = append(keys, keyOf(b))
	}
	return keys
}

func keyOf(b branch) string {
	sum := sha256.Sum256([]byte(b.repository + "\x00" + b.ref))
	return hex.EncodeToString(sum[:12])
}

// Dirty gives the baselines that changed since the last call, compressed, by key.
func (s *Store) Dirty() (map[string][]byte, error) {
	out := map[string][]byte{}
	for key, b := range s.baselines {
		if !b.dirty {
			continue
		}
		var text bytes.Buffer
		w := gzip.NewWriter(&text)
		err := json.NewEncoder(w).Encode(saved{key.repository, key.ref, b.used, b.Baseline})
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("the baseline of %s %s: %w", key.repository, key.ref, err)
		}
		b.dirty = false
		out[keyOf(key)] = text.Bytes()
	}
	return out, nil
}

// Gone gives the keys of the baselines that were evicted since the last call. What
// Dirty gives is to be written after they are deleted: one may have come back.
func (s *Store) Gone() []string {
	keys := slices.Collect(maps.Keys(s.gone))
	clear(s.gone)
	return keys
}

// Again has the baselines of these keys written, and those that are gone deleted,
// once more: that failed.
func (s *Store) Again(keys map[string][]byte, gone []string) {
	for _, key := range gone {
		s.gone[key] = true
	}
	for key, b := range s.baselines {
		if _, ok := keys[keyOf(key)]; ok {
			b.dirty = true
		}
	}
}

// Load puts back one baseline that Dirty gave.
func (s *Store) Load(value []byte) error {
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return err
	}
	var x saved
	if err := json.NewDecoder(io.LimitReader(r, maxFileSize)).Decode(&x); err != nil {
		return err
	}
	if x.Baseline == nil || x.Baseline.Format != formatNow {
		return fmt.Errorf("the baseline of %s %s is of another format than %d", x.Repository, x.Ref, formatNow)
	}
	x.Baseline.fill()
	s.baselines[branch{x.Repository, x.Ref}] = &kept{Baseline: x.Baseline, used: x.Used}
	return nil
}
