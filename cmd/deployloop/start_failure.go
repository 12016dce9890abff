package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// startFailure says the fix of what most often keeps a Collector from starting,
// which its components and upstream's storage leave to the reader.
func startFailure(ctx context.Context, err error, where *locations) error {
	if err == nil {
		return nil
	}
	var file *fs.PathError
	switch isFile := errors.As(err, &file); {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; end what listens there (another deployloop, a demo?), or choose another address: deployloop --help has an example", err)
	case isFile && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; %s", err, stateFix(ctx, where))
	case isFile && errors.Is(err, fs.ErrNotExist) && strings.Contains(err.Error(), "configuration"):
		return fmt.Errorf("%w; deployloop init writes a configuration, and without --config the built-in one is used", err)
	case strings.Contains(err.Error(), "basicauth") && strings.Contains(err.Error(), "no credential source"):
		return namesUnset(ctx, fmt.Errorf("%w: the variable that its htpasswd is read from is empty; export it before the start, as from htpasswd -nB gate", err), where.all())
	case strings.Contains(err.Error(), "storage") && strings.HasSuffix(err.Error(), ": timeout"): // bbolt's, of a file that is locked
		return fmt.Errorf("%w: another deployloop has its state there; end it, or %s", err, stateFix(ctx, where))
	case strings.HasPrefix(err.Error(), "invalid configuration: "):
		return namesUnset(ctx, err, where.all())
	}
	return err
}

// stateFix says how the state directory is moved.
func stateFix(ctx context.Context, where *locations) string {
	fix := "set " + envStateDir + " to a folder that this user may write"
	if config, _, err := readConfig(ctx, where.all()); err == nil {
		if dir := addressesOf(wiring{config}).state; dir != "" {
			fix += fmt.Sprintf(", or extensions::file_storage::directory (now %s)", dir)
		}
	}
	return fix
}
