package report

// Taken is the answer to POST /v1/reports: what was read, and what not.
type Taken struct {
	Reports      int      `json:"reports"`
	Tests        int      `json:"tests"`
	Failures     int      `json:"failures"`
	Findings     int      `json:"findings"`
	Measurements int      `json:"measurements"`
	Runs         int      `json:"runs,omitempty"`
	Broken       int      `json:"broken"` // reports of which not all was read
	Problems     []Unread `json:"problems,omitempty"`
	Omitted      int      `json:"problems_omitted,omitempty"`
}

// Unread says what of one report was not read.
type Unread struct {
	Name     string   `json:"name,omitempty"`
	Error    string   `json:"error,omitempty"` // nothing of it was read
	Problems []string `json:"problems,omitempty"`
}

// maxUnread is how many reports with problems an answer names.
const maxUnread = 50

// Name adds one more report with problems.
func (t *Taken) Name(u Unread) {
	if len(t.Problems) == maxUnread {
		t.Omitted++
		return
	}
	t.Problems = append(t.Problems, u)
}
