package main

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes what the command leaves behind children of this process, so
// that descendants finds it.
func adoptOrphans() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // an old kernel's orphans are not found
}

// descendants are the processes below this one, parents first. What began a session
// of its own means to outlive its parents, as a build's daemon does.
func descendants() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent group session …; the name may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 4 || string(fields[0]) == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		if of, _ := strconv.Atoi(string(fields[3])); of == session {
			children[parent] = append(children[parent], pid)
		}
	}
	found := children[os.Getpid()]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// endDescendants kills them, and what they start meanwhile.
func endDescendants(*os.Process) {
	for range 100 { // one that the kernel holds may never go
		found := descendants()
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// signalDescendants passes a signal on to what the command left behind.
func signalDescendants(sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	for _, pid := range descendants() {
		_ = syscall.Kill(pid, number)
	}
}
