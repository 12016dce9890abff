package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What doctor prints is pasted into tickets, and CI keeps it.
func TestDoctorPrintsNoSecrets(t *testing.T) {
	const inline = "yaml:{receivers: {otlp: {protocols: {nonsense: }}}, exporters: {grafana_annotation: {token: hunter2}}}"
	for name, arguments := range map[string][]string{
		"a configuration written out": {"--config", inline},
		"one from a URL":              {"--config", "http://hunter2@127.0.0.1:1/c?t=hunter2"},
		"set":                         {"--config", "default:", "--set", "receivers.otlp.protocols.nonsense=hunter2"},
		"a console with a user only":  {"--endpoint", "http://hunter2@127.0.0.1:1", "--timeout", "1s"},
		"a key in the query":          {"--endpoint", "http://127.0.0.1:1/?api_key=hunter2", "--timeout", "1s"},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(name+" "+format, func(t *testing.T) {
				t.Setenv(envStateDir, t.TempDir())
				out, notes, code, err := runCommand(t, newDoctorCommand(), append(arguments, "--output", format)...)
				require.NotZero(t, code)
				require.Contains(t, out+notes, "failure")
				require.NotContains(t, out+notes, "hunter2")
				if err != nil {
					require.NotContains(t, err.Error(), "hunter2")
				}
			})
		}
	}
}
