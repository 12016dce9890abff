package detect

import (
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// signalKind is a signal in a byte.
type signalKind uint8

var signalsOf = [...]event.Signal{event.SignalErrors, event.SignalLatency, event.SignalThroughput, event.SignalException, event.SignalLog, event.SignalGauge}

// kindOfSignal is the kind of a signal; that of none where no indicator speaks of it.
func kindOfSignal(s event.Signal) signalKind {
	return signalKind(slices.Index(signalsOf[:], s)) // -1: beyond the last
}

// known says that there is such a signal.
func (k signalKind) known() bool { return int(k) < len(signalsOf) }

// signal is what an indicator speaks of.
func (i *indicator) signal() event.Signal { return signalsOf[i.kind] }
