package report

// blockSet holds blocks by their hashes, whose lowest bit tells that the block was run.
// It takes 16 MiB for a million of them; Go's map takes 16 bytes and more for each,
// twice that while it grows. That two of a million share a hash has a chance of 1 in
// 18 million.
type blockSet struct {
	slots []uint64 // 0: free; never more than half of them are taken
	n     int
}

// slot is where a block is, which is put there where it is new; nil where it is new and
// most are in already.
func (s *blockSet) slot(hash uint64, most int) (at *uint64, isNew bool) {
	if hash &^= 1; hash == 0 {
		hash = 2
	}
	if s.slots == nil {
		s.slots = make([]uint64, 1024)
	}
	if at = s.find(hash); *at != 0 {
		return at, false
	}
	if s.n == most {
		return nil, true
	}
	if s.n++; 2*s.n > len(s.slots) {
		old := s.slots
		s.slots = make([]uint64, 2*len(old))
		for _, block := range old {
			if block != 0 {
				*s.find(block) = block
			}
		}
		at = s.find(hash)
	}
	*at = hash
	return at, true
}

// find is the block's slot, or the free one that it would take.
func (s *blockSet) find(hash uint64) *uint64 {
	for i := int(hash>>1) & (len(s.slots) - 1); ; i = (i + 1) & (len(s.slots) - 1) {
		if s.slots[i] == 0 || s.slots[i]&^1 == hash&^1 {
			return &s.slots[i]
		}
	}
}
