package suspect

import (
	"cmp"
	"slices"
)

// Limits of what owners are looked up for: rules are many, and only the first
// suspects are shown.
const (
	maxOwned      = 10
	maxOwnedFiles = 100
	maxOwners     = 3
)

// owners are who to ask about a commit: the owners of the file that speaks most
// for it, else those of most of the files it changed.
func owners(file string, c *Commit, o Options) []string {
	if o.Owners == nil {
		return nil
	}
	if file != "" {
		if names := o.Owners(file); len(names) > 0 {
			return names[:min(len(names), maxOwners)]
		}
	}
	counts := map[string]int{}
	var names []string // in the order of the files
	files := filesOf(c)
	for _, f := range files[:min(len(files), maxOwnedFiles)] {
		for _, name := range o.Owners(f.Path) {
			if counts[name]++; counts[name] == 1 {
				names = append(names, name)
			}
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	return names[:min(len(names), maxOwners)]
}
