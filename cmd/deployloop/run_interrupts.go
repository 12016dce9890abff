package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts are the signals of one step, from its begin to its end: whatever is
// under way says what one does to it.
type interrupts struct {
	mu    sync.Mutex
	got   []os.Signal
	act   func(os.Signal) // nil: it is only noted
	heard chan os.Signal
	done  chan struct{}
	wait  sync.WaitGroup
}

// hearInterrupts hears those of the process until close; a test sends its own.
func hearInterrupts(own chan os.Signal) *interrupts {
	i := &interrupts{heard: own, done: make(chan struct{})}
	if own == nil {
		i.heard = make(chan os.Signal, 4)
		signal.Notify(i.heard, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	}
	i.wait.Go(func() {
		for {
			select {
			case sig := <-i.heard:
				i.mu.Lock()
				i.got = append(i.got, sig)
				if i.act != nil {
					i.act(sig)
				}
				i.mu.Unlock()
			case <-i.done:
				return
			}
		}
	})
	return i
}

func (i *interrupts) close() {
	signal.Stop(i.heard)
	close(i.done)
	i.wait.Wait()
}

// first is the first signal; nil while there was none.
func (i *interrupts) first() os.Signal {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.got) == 0 {
		return nil
	}
	return i.got[0]
}

// count is how many there were.
func (i *interrupts) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.got)
}

// during has act told of signals until release.
func (i *interrupts) during(act func(os.Signal)) (release func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.act = act
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.act = nil
	}
}

// exitCode is what a shell says of a command that a signal ended.
func exitCode(sig os.Signal) int {
	if number, ok := sig.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return exitNotStarted
}

// fromKeyboard tells whether a signal is one that the terminal sends to its whole
// foreground group: the command has it already.
func fromKeyboard(sig os.Signal) bool {
	return (sig == os.Interrupt || sig == syscall.SIGQUIT) && inForeground()
}
