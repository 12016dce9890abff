package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/demo/shop/telemetry"
)

const environment = "production"

// cluster runs the shop: every instance a process, every service behind a
// balancer, one release of a service replaced by another instance by instance.
type cluster struct {
	otlp  string
	fault string
	log   io.Writer

	mu       sync.Mutex
	services map[string]*service
}

// service is the running instances of one service.
type service struct {
	name     string
	upstream string
	balancer *balancer
	started  int // instances ever started: names are not used twice
	running  []*instance
}

type instance struct {
	process *process
	address string
	version string
}

func newCluster(otlp, fault string, log io.Writer) *cluster {
	return &cluster{otlp: otlp, fault: fault, log: log, services: map[string]*service{}}
}

// add starts a service behind a balancer and returns its base URL.
func (c *cluster) add(ctx context.Context, name, upstream string, count int, r release) (string, error) {
	b, err := newBalancer()
	if err != nil {
		return "", err
	}
	s := &service{name: name, upstream: upstream, balancer: b}
	c.mu.Lock()
	c.services[name] = s
	c.mu.Unlock()
	for range count {
		i, err := c.launch(ctx, s, r)
		if err != nil {
			return "", err
		}
		c.mu.Lock()
		s.running = append(s.running, i)
		c.mu.Unlock()
		b.add(i.address)
	}
	return b.url(), nil
}

func (c *cluster) launch(ctx context.Context, s *service, r release) (*instance, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	s.started++
	name := s.name + "-" + strconv.Itoa(s.started)
	c.mu.Unlock()
	o := ServiceOptions{
		Identity: telemetry.Identity{Service: s.name, Version: r.version, Revision: r.revision, Instance: name, Environment: environment},
		Fault:    c.fault, OTLP: c.otlp, Upstream: s.upstream,
	}
	p, address, err := startReady(ctx, self, o.Args(), nil, c.log)
	if err != nil {
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	return &instance{process: p, address: address, version: r.version}, nil
}

// Args are the command line that runs a process with these options.
func (o ServiceOptions) Args() []string {
	return []string{
		"demo-service", "--service", o.Service, "--version-name", o.Version, "--revision", o.Revision,
		"--instance", o.Instance, "--environment", o.Environment,
		"--fault", o.Fault, "--otlp", o.OTLP, "--upstream", o.Upstream,
	}
}

// pace is how fast a rollout goes: between two instances, and at half way,
// where old and new serve side by side for a while.
type pace struct{ step, half time.Duration }

// roll replaces the instances of a service one by one by those of r until ctx
// ends. It returns how many run r.
func (c *cluster) roll(ctx context.Context, name string, r release, p pace) (int, error) {
	c.mu.Lock()
	s := c.services[name]
	old := slices.DeleteFunc(slices.Clone(s.running), func(i *instance) bool { return i.version == r.version })
	replaced := len(s.running) - len(old)
	c.mu.Unlock()
	for n, i := range old {
		wait := time.Duration(0)
		switch {
		case n == 0:
		case 2*n == len(old):
			wait = max(p.step, p.half)
		default:
			wait = p.step
		}
		if err := pause(ctx, wait); err != nil {
			return replaced, err
		}
		next, err := c.launch(ctx, s, r)
		if err != nil {
			return replaced, err
		}
		// A new instance serves before the old one goes: nobody is turned away.
		s.balancer.add(next.address)
		s.balancer.remove(i.address)
		c.mu.Lock()
		s.running = append(slices.DeleteFunc(s.running, func(x *instance) bool { return x == i }), next)
		c.mu.Unlock()
		i.process.stop()
		replaced++
	}
	return replaced, nil
}

// died names an instance that ended although nobody stopped it.
func (c *cluster) died() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.services {
		for _, i := range s.running {
			if i.process.ended() {
				return s.name + " " + i.version + " at " + i.address
			}
		}
	}
	return ""
}

// stop ends every instance, those that customers see first.
func (c *cluster) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var wait sync.WaitGroup
	for _, s := range c.services {
		for _, i := range s.running {
			wait.Go(i.process.stop)
		}
	}
	wait.Wait()
	for _, s := range c.services {
		s.balancer.close()
	}
}

// balancer spreads a service's requests over its instances in turn.
type balancer struct {
	server   *http.Server
	listener net.Listener
	targets  atomic.Pointer[[]string]
	next     atomic.Uint64
	mu       sync.Mutex // of writers of targets
}

func newBalancer() (*balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener}
	b.targets.Store(&[]string{})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			targets := *b.targets.Load()
			if len(targets) > 0 {
				r.SetURL(&url.URL{Scheme: "http", Host: targets[b.next.Add(1)%uint64(len(targets))]})
			}
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "no instance answers", http.StatusServiceUnavailable)
		},
	}
	b.server = &http.Server{Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = b.server.Serve(listener) }() // ends with close
	return b, nil
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) add(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	targets := append(slices.Clone(*b.targets.Load()), address)
	b.targets.Store(&targets)
}

func (b *balancer) remove(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	targets := slices.DeleteFunc(slices.Clone(*b.targets.Load()), func(a string) bool { return a == address })
	b.targets.Store(&targets)
}

func (b *balancer) close() { _ = b.server.Close() }
