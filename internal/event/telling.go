package event

import "time"

// Channel is a way by which people are told.
type Channel string

// The channels.
const (
	ChannelAlertmanager Channel = "alertmanager" // it accepted the alert
	ChannelGrafana      Channel = "grafana"      // the annotation is written
	ChannelForge        Channel = "forge"        // the comment is written
)

// Channels lists them all.
var Channels = []Channel{ChannelAlertmanager, ChannelGrafana, ChannelForge}

// Telling notes when a channel first took what was said of a deployment.
type Telling struct {
	Deployment string       `json:"deployment"` // its id
	Verdict    VerdictState `json:"verdict"`    // what was said
	Channel    Channel      `json:"channel"`
	At         time.Time    `json:"at"`
}

// Silence is a silence of an Alertmanager that keeps an open anomaly quiet.
type Silence struct {
	ID      string    `json:"id"`
	By      string    `json:"by"`
	Comment string    `json:"comment,omitempty"`
	Until   time.Time `json:"until"`
}

// Silenced is the silence that holds at a time, nil if there is none.
func (a Anomaly) Silenced(at time.Time) *Silence {
	if !a.Open || a.Silence == nil || !a.Silence.Until.After(at) {
		return nil
	}
	return a.Silence
}
