package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/deployloop/deployloop/internal/cicdclient"
	"github.com/deployloop/deployloop/internal/redact"
	"github.com/deployloop/deployloop/internal/report"
)

var errNoRevision = errors.New("say which commit was tested: --revision")

// sender tells a deployloop of reports, where one is named.
type sender struct {
	endpoint string
	offline  bool
	timeout  time.Duration
	moved    func() // nil, or told of each piece that is taken
}

func (s *sender) flags(c *cobra.Command, timeout time.Duration, meaning string) {
	flags := c.Flags()
	flags.StringVar(&s.endpoint, "endpoint", "", "`URL` of a deployloop to tell (default: "+cicdclient.EnvEndpoint+", else none)")
	flags.BoolVar(&s.offline, "offline", false, "tell nobody, whatever the environment says")
	flags.DurationVar(&s.timeout, "send-timeout", timeout, meaning)
}

// wanted tells whether to send: an endpoint is named, by flag or variable.
func (s *sender) wanted() bool {
	return !s.offline && (s.endpoint != "" || os.Getenv(cicdclient.EnvEndpoint) != "")
}

// files sends reports as one archive. open gives each anew for every attempt.
func (s *sender) files(ctx context.Context, query url.Values, names []string, open func(name string) (*os.File, error)) (report.Taken, error) {
	if query.Get("revision") == "" {
		return report.Taken{}, errNoRevision
	}
	client, err := cicdclient.New(s.endpoint)
	if err != nil {
		return report.Taken{}, err
	}
	secrets := redact.Environment(os.Environ())
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return client.Report(ctx, query, func() (io.ReadCloser, error) {
		body, writer := io.Pipe()
		go func() { writer.CloseWithError(writeArchive(writer, names, open, secrets)) }() // ends when the body is closed
		if s.moved != nil {
			return moving{body, s.moved}, nil
		}
		return body, nil
	})
}

// moving tells when it is read from.
type moving struct {
	io.ReadCloser
	moved func()
}

func (m moving) Read(p []byte) (int, error) {
	m.moved()
	return m.ReadCloser.Read(p)
}

func writeArchive(to io.Writer, names []string, open func(string) (*os.File, error), secrets *redact.Values) error {
	archive := tar.NewWriter(to)
	add := func(name string) error {
		f, err := open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: info.Size(), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		// A file that grows meanwhile is sent as long as it was.
		if _, err := io.CopyN(archive, secrets.Reader(f), info.Size()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return err
		}
	}
	return archive.Close()
}
