//go:build linux || darwin

package doctor

import "syscall"

// freeSpace of the disk that holds a folder, for an ordinary user, in bytes.
func freeSpace(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil || s.Blocks == 0 || s.Bsize < 1 {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
