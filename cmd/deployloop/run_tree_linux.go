package main

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes what the command leaves behind children of this process, so that
// descendants finds it.
func adopt(*exec.Cmd) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // an old kernel's orphans are not found
}

// process is a line of the process table.
type process struct {
	pid, parent, session int
	ended                bool // and nobody asked how
}

func processes() (all []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
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
		if len(fields) < 4 {
			continue
		}
		p := process{pid: pid, ended: string(fields[0]) == "Z"}
		p.parent, _ = strconv.Atoi(string(fields[1]))
		p.session, _ = strconv.Atoi(string(fields[3]))
		all = append(all, p)
	}
	return all
}

// descendants are the processes below this one, parents first. What began a session
// of its own means to outlive its parents, as a build's daemon does.
func descendants() []int {
	session, err := unix.Getsid(0)
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, p := range processes() {
		if !p.ended && p.session == session {
			children[p.parent] = append(children[p.parent], p.pid)
		}
	}
	found := children[os.Getpid()]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// orphanPause is how long an orphan that ended stays in the process table.
const orphanPause = 250 * time.Millisecond

// reapOrphans asks how the adopted ended, until stop: else each keeps its place in
// the process table for as long as the command runs, and a build that leaves many
// behind meets the limit of processes. A child of our own has somebody who waits for
// it, and is gone when it is looked for again.
func reapOrphans() (stop func()) {
	ended, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(ended, syscall.SIGCHLD)
	var reaping sync.WaitGroup
	reaping.Go(func() {
		for seen := map[int]bool{}; ; {
			next, pause := ended, (<-chan time.Time)(nil)
			if len(seen) > 0 { // many may end at once: they are looked for together
				next, pause = nil, time.After(orphanPause)
			}
			select {
			case <-done:
				return
			case <-next:
			case <-pause:
			}
			before := seen
			seen = map[int]bool{}
			for _, p := range processes() {
				switch {
				case !p.ended || p.parent != os.Getpid():
				case before[p.pid]:
					_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
				default:
					seen[p.pid] = true
				}
			}
		}
	})
	return func() {
		signal.Stop(ended)
		close(done)
		reaping.Wait()
	}
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
func signalDescendants(_ *os.Process, sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	for _, pid := range descendants() {
		_ = syscall.Kill(pid, number)
	}
}
