package suspect

import "slices"

// touch is how a commit meets a line of a frame.
type touch struct {
	strength float64 // 1: the newest change of that very line; less: an older one, or next to it
	file     int     // index in Files
	hunk     int     // index in Hunks, -1: only the file
	line     int     // where the line was right after that commit
	frame    int     // index in query.frames
}

// near is how many lines from a change still count as beside it: a moved brace
// or a changed condition one statement up.
const near = 3

// traceLines follows the line of each frame from the newest commit back, as
// blame does, and tells for each commit the strongest meeting. Commits are
// newest first. Where the symptom was seen on another revision than the newest
// commit, lines are a little off, which near forgives. The holder is the newest
// commit that changed the very line of the top frame of the code itself, -1 for none.
func traceLines(q query, commits []Commit, o Options) (touches []touch, holder int) {
	touches, holder = make([]touch, len(commits)), -1
	top := slices.IndexFunc(q.frames, func(f weighedFrame) bool { return !f.test })
	for i := range touches {
		touches[i] = touch{hunk: -1, frame: -1, file: -1}
	}
	for fi, f := range q.frames {
		if f.Line <= 0 {
			continue
		}
		line, told, found := f.Line, f.File, false
		weight := f.weight
	walk:
		for ci := range commits {
			for di := range commits[ci].Files {
				d := &commits[ci].Files[di]
				match := o.match(told, d.Path)
				if match < .7 {
					continue
				}
				hunk, distance := nearest(d.Hunks, line)
				strength := 0.0
				switch {
				case hunk < 0 || distance > near:
				case distance == 0:
					strength = weight * match
				default:
					strength = weight * match * .4
				}
				if found {
					strength *= .5
				}
				if strength > touches[ci].strength {
					touches[ci] = touch{strength, di, hunk, line, fi}
				}
				if distance == 0 && hunk >= 0 {
					if fi == top && !found {
						holder = ci
					}
					found = true
				}
				born := false
				line, born = before(d.Hunks, line)
				if d.OldPath != "" {
					told = d.OldPath
				}
				if born {
					break walk // the line did not exist before this commit
				}
				break
			}
		}
	}
	return touches, holder
}

// nearest is the hunk closest to a line of the new file, and how far it is (0: inside).
func nearest(hunks []Hunk, line int) (hunk, distance int) {
	hunk, distance = -1, 1<<30
	for i, h := range hunks {
		first, last := h.NewStart, h.NewStart+h.NewLines-1
		d := 0
		switch {
		case h.NewLines == 0: // only removed: between NewStart and the next
			d = max(h.NewStart-line+1, line-h.NewStart, 1)
		case line < first:
			d = first - line
		case line > last:
			d = line - last
		}
		if d < distance {
			hunk, distance = i, d
		}
	}
	return hunk, distance
}

// before is where a line of the new file was in the old one; born when the
// change added it without removing one in its place.
func before(hunks []Hunk, line int) (old int, born bool) {
	shift := 0
	for _, h := range hunks {
		end := h.NewStart + h.NewLines
		if h.NewLines == 0 {
			end = h.NewStart + 1
		}
		if line >= h.NewStart && line < end && h.NewLines > 0 {
			if h.OldLines == 0 {
				return line - shift, true
			}
			return h.OldStart + min(line-h.NewStart, h.OldLines-1), false
		}
		if end <= line {
			shift += h.NewLines - h.OldLines
		}
	}
	return max(line-shift, 1), false
}
