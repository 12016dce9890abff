package logpattern

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Options of a Miner; zero fields take the defaults.
type Options struct {
	Depth        int     // levels of the tree: the number of tokens and Depth−1 of the first tokens (4)
	Similarity   float64 // least share of like tokens to join a group (0.5)
	MaxChildren  int     // of one node; further tokens share the wildcard's branch (100)
	MaxTemplates int     // the least recently seen is forgotten (10,000)
}

func (o Options) withDefaults() Options {
	if o.Depth <= 0 {
		o.Depth = 4
	}
	if o.Similarity <= 0 || o.Similarity > 1 {
		o.Similarity = 0.5
	}
	if o.MaxChildren <= 0 {
		o.MaxChildren = 100
	}
	if o.MaxTemplates <= 0 {
		o.MaxTemplates = 10_000
	}
	return o
}

// Template is a group of lines.
type Template struct {
	id     uint64
	hashes []uint64 // of the tokens; 0 where lines of the group differ
	words  []string // the tokens' text with the blank before it, Wildcard where they differ
	text   string   // words in one line; "" after a change

	leaf       *node
	prev, next *Template // least recently seen … most recently seen
	keys       []uint64  // of Miner.exact that point here
}

// ID names the template: 16 hexadecimal digits. It is frozen when the group
// is made, whatever wildcards the group gains later.
func (t *Template) ID() string { return hexID(t.id) }

// Key is ID as a number.
func (t *Template) Key() uint64 { return t.id }

// Text is the template in words, with Wildcard where the lines differ.
func (t *Template) Text() string {
	if t.text == "" {
		t.text = strings.TrimSpace(strings.Join(t.words, ""))
	}
	return t.text
}

// node is one level of the tree.
type node struct {
	parent    *node
	key       uint64 // in parent.children
	children  map[uint64]*node
	templates []*Template // of a leaf
}

// Miner groups the lines of one service into templates as they stream in
// (Drain, He et al. 2017, with a masking of its own). It is not safe for
// concurrent use.
type Miner struct {
	options Options
	scanner scanner
	root    node
	// exact finds the template of a masked line that was seen before without
	// walking the tree, and keeps like lines together once they were.
	exact          map[uint64]*Template
	byID           map[uint64]*Template
	oldest, newest *Template // ends of the list by last sight
	forgotten      uint64
}

// NewMiner makes an empty miner.
func NewMiner(o Options) *Miner {
	return &Miner{
		options: o.withDefaults(),
		exact:   make(map[uint64]*Template),
		byID:    make(map[uint64]*Template),
	}
}

// Len is the number of templates held; Forgotten how many had to go.
func (m *Miner) Len() int          { return len(m.byID) }
func (m *Miner) Forgotten() uint64 { return m.forgotten }

// wildcardKey is the branch of tokens that are no key.
const wildcardKey = 0

// Add finds or makes the template of a line; nil for a blank one. The template
// belongs to the miner: read it before the next call.
func (m *Miner) Add(line string) (t *Template, isNew bool) {
	m.scanner.scan(line)
	tokens := m.scanner.tokens
	if len(tokens) == 0 {
		return nil, false
	}
	key := xxhash.Sum64(m.scanner.text)
	if t := m.exact[key]; t != nil {
		m.touch(t)
		return t, false
	}
	leaf := m.leaf(tokens)
	if t = m.best(leaf, tokens); t != nil {
		m.generalise(t, tokens)
		m.touch(t)
	} else {
		t, isNew = m.create(leaf, tokens, key), true
	}
	m.remember(key, t)
	return t, isNew
}

// leaf walks to the leaf of a line, making what is missing.
func (m *Miner) leaf(tokens []token) *node {
	n := m.child(&m.root, uint64(len(tokens))+1)
	for i := 0; i < m.options.Depth-1 && i < len(tokens); i++ {
		key := tokens[i].hash
		if tokens[i].masked {
			key = wildcardKey
		}
		n = m.child(n, key)
	}
	return n
}

func (m *Miner) child(n *node, key uint64) *node {
	if c := n.children[key]; c != nil {
		return c
	}
	if n.children == nil {
		n.children = make(map[uint64]*node)
	}
	if len(n.children) >= m.options.MaxChildren && n != &m.root {
		key = wildcardKey
		if c := n.children[key]; c != nil {
			return c
		}
	}
	c := &node{parent: n, key: key}
	n.children[key] = c
	return c
}

// best is the most similar template of a leaf, or nil when none is enough.
func (m *Miner) best(leaf *node, tokens []token) *Template {
	var best *Template
	bestSame, bestWild := 0.0, 0
	for _, t := range leaf.templates {
		same, wild := 0, 0
		total := 0
		for i, h := range t.hashes {
			if tokens[i].pure {
				wild++
				continue
			}
			total++
			switch h {
			case 0:
				wild++
			case tokens[i].hash:
				same++
			}
		}
		share := 1.0
		if total > 0 {
			share = float64(same) / float64(total)
		}
		if share >= m.options.Similarity && (best == nil || share > bestSame || share == bestSame && wild > bestWild) {
			best, bestSame, bestWild = t, share, wild
		}
	}
	return best
}

// generalise puts wildcards where the line differs from its template.
func (m *Miner) generalise(t *Template, tokens []token) {
	for i, h := range t.hashes {
		if h != 0 && h != tokens[i].hash {
			t.hashes[i], t.words[i], t.text = 0, gapped(tokens[i], Wildcard), ""
		}
	}
}

func (m *Miner) create(leaf *node, tokens []token, key uint64) *Template {
	for len(m.byID) >= m.options.MaxTemplates {
		m.forget(m.oldest)
	}
	for m.byID[key] != nil || key == 0 { // generalised since, and no longer like this line
		key++
	}
	t := &Template{id: key, leaf: leaf, hashes: make([]uint64, len(tokens)), words: make([]string, len(tokens))}
	for i, tok := range tokens {
		t.hashes[i], t.words[i] = tok.hash, gapped(tok, string(m.scanner.text[tok.from:tok.to]))
	}
	leaf.templates = append(leaf.templates, t)
	m.byID[t.id] = t
	m.touch(t)
	return t
}

func gapped(t token, text string) string {
	if t.spaced {
		return " " + text
	}
	return text
}

// remember keeps the way of a masked line to its template. What it holds is
// bounded by a share of the templates' limit; beyond, all is forgotten at once
// and learnt again.
func (m *Miner) remember(key uint64, t *Template) {
	if len(m.exact) >= 4*m.options.MaxTemplates {
		clear(m.exact)
		for _, t := range m.byID {
			t.keys = nil
		}
	}
	m.exact[key] = t
	t.keys = append(t.keys, key)
}

// touch makes t the most recently seen.
func (m *Miner) touch(t *Template) {
	if m.newest == t {
		return
	}
	m.unlink(t)
	t.prev = m.newest
	if m.newest != nil {
		m.newest.next = t
	}
	m.newest = t
	if m.oldest == nil {
		m.oldest = t
	}
}

func (m *Miner) unlink(t *Template) {
	if t.prev != nil {
		t.prev.next = t.next
	} else if m.oldest == t {
		m.oldest = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else if m.newest == t {
		m.newest = t.prev
	}
	t.prev, t.next = nil, nil
}

// forget drops a template; the way to its leaf goes with it when it was alone.
func (m *Miner) forget(t *Template) {
	m.unlink(t)
	delete(m.byID, t.id)
	for _, k := range t.keys {
		if m.exact[k] == t {
			delete(m.exact, k)
		}
	}
	m.forgotten++
	m.prune(t)
}

func (m *Miner) prune(t *Template) {
	if i := slices.Index(t.leaf.templates, t); i >= 0 {
		t.leaf.templates = slices.Delete(t.leaf.templates, i, i+1)
	}
	for n := t.leaf; n.parent != nil && len(n.templates) == 0 && len(n.children) == 0; n = n.parent {
		delete(n.parent.children, n.key)
	}
}

func hexID(id uint64) string {
	s := strconv.FormatUint(id, 16)
	return "0000000000000000"[:16-len(s)] + s
}

// Known is a template as it outlives a restart.
type Known struct {
	ID    uint64   `json:"id"`
	Words []string `json:"words"` // with the blank before each; Wildcard where lines differ
}

// Snapshot lists the templates, least recently seen first.
func (m *Miner) Snapshot() []Known {
	out := make([]Known, 0, len(m.byID))
	for t := m.oldest; t != nil; t = t.next {
		out = append(out, Known{ID: t.id, Words: append([]string(nil), t.words...)})
	}
	return out
}

// Restore puts templates back, so that a line keeps the identity that it had
// before a restart. What does not fit a template's form is left out.
func (m *Miner) Restore(known []Known) {
	for _, k := range known {
		if len(k.Words) == 0 || len(k.Words) > maxTokens || k.ID == 0 || m.byID[k.ID] != nil {
			continue
		}
		for len(m.byID) >= m.options.MaxTemplates {
			m.forget(m.oldest)
		}
		t := &Template{id: k.ID, words: append([]string(nil), k.Words...), hashes: make([]uint64, len(k.Words))}
		tokens := make([]token, len(k.Words))
		for i, w := range k.Words {
			bare := strings.TrimPrefix(w, " ")
			tokens[i].masked = strings.Contains(bare, Wildcard)
			tokens[i].hash = xxhash.Sum64String(bare)
			if bare != Wildcard {
				t.hashes[i] = tokens[i].hash
			}
		}
		t.leaf = m.leaf(tokens)
		t.leaf.templates = append(t.leaf.templates, t)
		m.byID[t.id] = t
		m.touch(t)
	}
}
