// Command picture plays the demo beside a real Prometheus and takes a picture of
// each dashboard, drawn with Grafana's UI components (make dashboard-pictures).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	pages = "dashboards/picture/node_modules/.pictures" // where vite.config.js builds to
	width = 1540
	drawn = time.Minute // one picture
)

func main() {
	program := flag.String("program", "bin/deployloop", "whose demo is played")
	out := flag.String("out", "docs/images/dashboards", "where the pictures go")
	running := &demo{end: func() {}}
	flag.StringVar(&running.prometheus, "prometheus", "", "URL of the Prometheus of a demo that was played already, instead of one of its own")
	flag.StringVar(&running.deployment, "deployment", "", "id of its bad deployment")
	since := flag.Duration("since", 4*time.Minute, "how long ago it began")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	began, d, err := time.Now(), running, error(nil)
	if running.prometheus == "" {
		d, err = play(ctx, *program)
	} else {
		began = began.Add(-*since)
	}
	if err == nil {
		err = take(ctx, d, began, *out)
		d.end()
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// take writes a picture of each dashboard into the folder out.
func take(ctx context.Context, d *demo, began time.Time, out string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(pages)), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer server.Close()

	allocator, cancel := chromedp.NewExecAllocator(ctx, chromedp.ExecPath("chromium"), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true))
	defer cancel()
	tab, cancel := chromedp.NewContext(allocator)
	defer cancel()
	defer func() { _ = chromedp.Cancel(tab) }() // waits for the browser to end
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := chromedp.Do(tab); err != nil { // the browser lives as long as the context of its first call
		return fmt.Errorf("chromium does not start: %w", err)
	}
	for _, board := range []string{"loop", "deployment", "service", "build"} {
		variables := map[string]string{"service": "checkout", "environment": "production"}
		if board == "deployment" {
			variables["deployment"] = d.deployment
		}
		chosen, err := json.Marshal(variables)
		if err != nil {
			return err
		}
		query := url.Values{
			"board": {board}, "prometheus": {d.prometheus}, "variables": {string(chosen)},
			"from": {strconv.FormatInt(began.UnixMilli(), 10)}, "to": {strconv.FormatInt(time.Now().UnixMilli(), 10)},
		}
		picture, err := draw(tab, "http://"+listener.Addr().String()+"/?"+query.Encode())
		if err != nil {
			return fmt.Errorf("%s: %w", board, err)
		}
		if err := os.WriteFile(filepath.Join(out, board+".png"), picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// draw opens a page and waits until it has drawn.
func draw(tab context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(tab, drawn)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(address)); err != nil {
		return nil, err
	}
	for {
		state, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body?.dataset.failed ?? document.body?.dataset.done ?? ""`))
		switch {
		case err != nil:
			return nil, err
		case state == "true":
			return chromedp.Run(ctx, chromedp.FullScreenshot(100))
		case state != "":
			return nil, errors.New(state)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// demo is a demo that was played to its end and stays up.
type demo struct {
	prometheus, deployment string
	end                    func()
}

func play(ctx context.Context, program string) (*demo, error) {
	cmd := exec.CommandContext(ctx, program, "demo", "--stack")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	story, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &demo{end: func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, story)
		_ = cmd.Wait()
	}}
	prometheus, deployment := regexp.MustCompile(`^ +prometheus +(\S+)`), regexp.MustCompile(`/deployments/(\w+)`)
	for lines := bufio.NewScanner(io.TeeReader(story, os.Stdout)); lines.Scan(); {
		if m := prometheus.FindStringSubmatch(lines.Text()); m != nil {
			d.prometheus = m[1]
		}
		if m := deployment.FindStringSubmatch(lines.Text()); m != nil {
			d.deployment = m[1]
		}
		if regexp.MustCompile("stays up").MatchString(lines.Text()) {
			return d, nil
		}
	}
	d.end()
	return nil, errors.New("the demo did not play to its end")
}
