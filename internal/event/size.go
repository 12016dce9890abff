package event

// What things take in memory, about, in bytes: texts by their length, all else
// by a constant.
const fixedSize = 512 // of one thing with its times and numbers

// Size is about what an anomaly takes.
func (a Anomaly) Size() int {
	n := fixedSize + texts(a.Symptoms)
	if a.Evidence != nil {
		n += a.Evidence.size()
	}
	if a.Verdict != nil {
		n += a.Verdict.Size()
	}
	if a.Feedback != nil {
		n += a.Feedback.Size()
	}
	if a.Closure != nil {
		n += fixedSize + len(a.Closure.Detail)
	}
	if a.Silence != nil {
		n += fixedSize + len(a.Silence.Comment)
	}
	return n
}

// Size is about what a verdict takes.
func (v Verdict) Size() int {
	d := &v.Deployment
	n := 3*fixedSize + len(v.Detail) + len(v.ControlDetail) + len(v.Through) + texts(d.Aliases) + texts(d.Instances) + fixedSize/4*len(d.Sources) + len(d.RollbackCommand) +
		fixedSize/4*(len(v.Affected)+len(v.Losses))
	for i := range v.Evidence {
		n += v.Evidence[i].size()
	}
	for i := range v.Related {
		n += v.Related[i].size()
	}
	for i := range v.Builds {
		n += v.Builds[i].size()
	}
	if s := v.Suspicion; s != nil {
		n += fixedSize + len(s.RangeNote) + fixedSize*len(s.Deployments)
		for i := range s.Suspects {
			x := &s.Suspects[i]
			n += x.Change.size() + texts(x.Reasons) + texts(x.Owners) + len(x.Hunk) + len(x.File) + len(x.PointedBy)
		}
	}
	if w := v.WayBack; w != nil {
		n += fixedSize + texts(w.Regressed)
	}
	return n
}

func (e *Evidence) size() int { return fixedSize + len(e.Operation) + len(e.Detail) }

func (r *RelatedError) size() int {
	n := fixedSize + len(r.Type) + len(r.Message) + len(r.Template) + len(r.Operation)
	for i := range r.Frames {
		f := &r.Frames[i]
		n += fixedSize/8 + len(f.File) + len(f.Function) + len(f.Module)
	}
	for i := range r.Examples {
		x := &r.Examples[i]
		n += fixedSize/2 + len(x.Message) + len(x.Stacktrace)
		for _, a := range x.Attributes {
			n += fixedSize/16 + len(a.Key) + len(a.Text)
		}
	}
	return n
}

func (c *Change) size() int {
	return fixedSize + len(c.Message) + len(c.URL) + len(c.CompareURL) + len(c.PullURL) + texts(c.Parents) + texts(c.Added) + texts(c.Modified) + texts(c.Removed)
}

func (j *Judgement) size() int {
	n := fixedSize
	if t := j.Test; t != nil {
		n += len(t.Suite) + len(t.Case) + len(t.Message) + len(t.Stacktrace)
	}
	if j.Finding != nil {
		n += len(j.Finding.File) + len(j.Finding.Message)
	}
	return n
}

// Size is about what feedback takes.
func (f Feedback) Size() int {
	n := fixedSize
	for _, b := range f.Mendable {
		n += len(b.Kind) + len(b.Name) + len(b.First)
	}
	for _, u := range f.Unended {
		n += len(u.RunID) + len(u.Pipeline) + len(u.Job) + len(u.TaskID)
	}
	for i := range f.Judgements {
		n += f.Judgements[i].size()
	}
	return n
}

func texts(list []string) int {
	n := 16 * len(list)
	for _, s := range list {
		n += len(s)
	}
	return n
}
