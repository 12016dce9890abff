package cilog

import (
	"cmp"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// Limits of a Result.
const (
	MaxBlocks = 20  // with the highest scores; further ones are counted
	maxShown  = 40  // lines of a block: the first and, of what is left, the last
	maxText   = 500 // bytes of a line
)

// Line is a line that explains a failure.
type Line struct {
	Number int    `json:"line"` // as grep -n counts
	Text   string `json:"text"`
}

// Block is neighbouring lines that explain a failure together.
type Block struct {
	From    int          `json:"from"`
	To      int          `json:"to"`
	Lines   []Line       `json:"lines"`
	Omitted int          `json:"lines_omitted,omitempty"` // from the middle of Lines
	Reasons []string     `json:"reasons"`
	Score   float64      `json:"score"`           // log odds that the best line of it is a cause
	Frame   *event.Frame `json:"frame,omitempty"` // the top frame of the application's own code
	// Template names what the block is about, whatever numbers and quoted names
	// it holds: the hash of its best line, masked.
	Template uint64 `json:"-"`

	features Vector // of all its lines
	best     string
}

// Text is the block as it stood in the log, as far as it was kept.
func (b Block) Text() string {
	var s strings.Builder
	for i, l := range b.Lines {
		if i > 0 {
			s.WriteByte('\n')
		}
		if i == maxShown/2 && b.Omitted > 0 {
			s.WriteString("…\n")
		}
		s.WriteString(l.Text)
	}
	return s.String()
}

// Result is what explains a failed build.
type Result struct {
	Blocks  []Block `json:"blocks"` // in the order of the log
	Omitted int     `json:"blocks_omitted,omitempty"`
	Unsure  bool    `json:"unsure,omitempty"`    // no line passed the threshold; the likeliest that speaks of an error stands for them
	Lines   int     `json:"lines"`               // read
	Chosen  int     `json:"chosen"`              // of them
	Cut     int     `json:"lines_cut,omitempty"` // of which only the begin was looked at
	Known   int     `json:"templates_known"`     // of logs that passed
}

// Explain finds the lines of a failed build's log that say why it failed. b is
// what logs of the same job that passed left behind; nil where there is none.
func Explain(log io.Reader, b *Baseline) (Result, error) {
	w := &Alone
	if b != nil && b.Len() > 0 {
		w = &Compared
	} else {
		b = nil
	}
	e := explainer{weights: w, compared: b != nil}
	likeliest := line{}
	best := math.Inf(-1)
	r, err := scan(log, b, func(l line) {
		if score := w.Score(l.vector); l.vector&speaks != 0 && score > best {
			best, likeliest = score, l
		}
		e.take(l)
	})
	e.close()
	if len(e.out.Blocks) == 0 && likeliest.text != "" {
		e.out.Unsure = true
		e.open(likeliest, best)
		e.close()
	}
	e.out.Lines, e.out.Cut = r.ordinal, r.cut
	if b != nil {
		e.out.Known = b.Len()
	}
	slices.SortFunc(e.out.Blocks, func(a, b Block) int { return cmp.Compare(a.From, b.From) })
	return e.out, err
}

// speaks are the features of a line that says something of an error at all.
const speaks = Vector(1<<featError | 1<<featException | 1<<featStrong | 1<<featWeak | 1<<featAssert | 1<<featPlace)

// explainer puts chosen lines together.
type explainer struct {
	weights  *Weights
	compared bool // with a log that passed
	out      Result
	block    *Block
	blanks   int // since the last line of block
}

func (e *explainer) take(l line) {
	switch score := e.weights.Score(l.vector); {
	case l.blank:
		e.blanks++
	case score < e.weights.Threshold:
		e.close()
	case e.block == nil:
		e.open(l, score)
	default:
		e.out.Chosen += e.blanks
		e.add(l, score)
	}
}

func (e *explainer) open(l line, score float64) {
	e.block = &Block{From: l.number, Score: math.Inf(-1)}
	e.add(l, score)
}

func (e *explainer) add(l line, score float64) {
	b := e.block
	e.blanks = 0
	e.out.Chosen++
	b.To = l.number
	b.features |= l.vector
	if score > b.Score {
		b.Score, b.best = score, l.text
	}
	text := l.text
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	if len(b.Lines) == maxShown {
		b.Omitted++
		b.Lines = slices.Delete(b.Lines, maxShown/2, maxShown/2+1)
	}
	b.Lines = append(b.Lines, Line{l.number, strings.ToValidUTF8(text, "\uFFFD")})
}

// close ends the block, and keeps it if it is among the best.
func (e *explainer) close() {
	b := e.block
	e.block, e.blanks = nil, 0
	if b == nil {
		return
	}
	b.finish(e.compared)
	if len(e.out.Blocks) < MaxBlocks {
		e.out.Blocks = append(e.out.Blocks, *b)
		return
	}
	e.out.Omitted++
	least := slices.IndexFunc(e.out.Blocks, func(x Block) bool {
		return x.Score == slices.MinFunc(e.out.Blocks, func(a, b Block) int { return cmp.Compare(a.Score, b.Score) }).Score
	})
	if e.out.Blocks[least].Score < b.Score {
		e.out.Blocks[least] = *b
	}
}

// finish fills in what is known of a whole block.
func (b *Block) finish(compared bool) {
	b.Template = new(logpattern.Masker).Hash(b.best)
	for _, f := range logpattern.ParseStack(b.Text()) {
		if logpattern.InApp(f) {
			b.Frame = &f
			break
		}
	}
	reason := func(is bool, words string) {
		if is && len(b.Reasons) < 3 {
			b.Reasons = append(b.Reasons, words)
		}
	}
	f := b.features
	reason(compared && f.has(featNewError), "an error that no log that passed had")
	reason(compared && !f.has(featNewError) && f.has(featNew), "no log that passed had it")
	reason(!compared && f.has(featError), "an error by its level")
	reason(f.has(featException), "an exception")
	reason(f.has(featAssert), "an assertion")
	reason(!f.has(featError) && f.has(featStrong), "words of an error")
	reason(f.has(featPlace), "names a line of a file")
	reason(f.has(featNear), "near the end")
	if b.Frame != nil {
		b.Reasons = append(b.Reasons, "runs through own code")
	}
}

// Best are the n likeliest blocks, the likeliest first. Of blocks that say the
// same, the first one speaks.
func (r Result) Best(n int) []Block {
	list := slices.Clone(r.Blocks)
	slices.SortStableFunc(list, func(a, b Block) int { return cmp.Compare(b.Score, a.Score) })
	told := map[uint64]bool{}
	list = slices.DeleteFunc(list, func(b Block) bool {
		again := told[b.Template]
		told[b.Template] = true
		return again
	})
	return list[:min(n, len(list))]
}
