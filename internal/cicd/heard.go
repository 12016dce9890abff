package cicd

import "time"

// Heard is what became of the deliveries of one source since the receiver
// started, as GET /v1/deliveries tells by source.
type Heard struct {
	Taken       int64     `json:"taken"`   // authentic, whatever they said
	Refused     int64     `json:"refused"` // for their signature or token
	LastTaken   time.Time `json:"last_taken,omitzero"`
	LastRefused time.Time `json:"last_refused,omitzero"`
}

// HeaderProbe marks a delivery that only tests the way; it is not counted in Heard.
const HeaderProbe = "Deployloop-Probe"
