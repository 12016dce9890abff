package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deployloop/deployloop/internal/wording"
)

// spaceWorth is how little space is worth a word, in bytes.
const spaceWorth = 200 << 20

// Storage writes a file where deployloop keeps its state, and removes it.
// create says that deployloop makes a missing directory itself.
func Storage(key, dir string, create bool) Check {
	return Check{"storage", dir, func(context.Context) []Finding { return []Finding{storage(key, dir, create)} }}
}

func storage(key, dir string, create bool) Finding {
	info, err := os.Stat(dir)
	switch {
	case dir == "":
		return Fail(CauseStorageMissing, "no folder is named", fmt.Sprintf("set %s to one, or the environment variable that it names", key))
	case errors.Is(err, fs.ErrNotExist) && create:
		above := filepath.Dir(dir)
		for above != filepath.Dir(above) {
			if _, err := os.Stat(above); err == nil {
				break
			}
			above = filepath.Dir(above)
		}
		if f := writable(key, above); f.Cause != "" {
			f.What = fmt.Sprintf("%s does not exist and cannot be made: %s", dir, f.What)
			return f
		}
		return ok("does not exist yet; deployloop makes it at its start")
	case errors.Is(err, fs.ErrNotExist):
		return Fail(CauseStorageMissing, fmt.Sprintf("%s does not exist", dir), fmt.Sprintf("mkdir -p %s, or set %s::create_directory: true", wording.ShellQuote(dir), parent(key)))
	case err != nil:
		return Fail(CauseStorageUnwritable, cause(err), fmt.Sprintf("set %s to a folder that the user of deployloop may write", key))
	case !info.IsDir():
		return Fail(CauseStorageUnwritable, fmt.Sprintf("%s is no folder", dir), fmt.Sprintf("set %s to a folder", key))
	}
	if f := writable(key, dir); f.Cause != "" {
		return f
	}
	free, known := freeSpace(dir)
	return room(key, free, known)
}

// room says whether there is space for more.
func room(key string, free uint64, known bool) Finding {
	if known && free < spaceWorth {
		return Warn(CauseStorageFull, fmt.Sprintf("only %d MiB are free", free>>20), fmt.Sprintf("make room, or set %s to a larger disk", key))
	}
	return ok("can be written")
}

func writable(key, dir string) Finding {
	file, err := os.CreateTemp(dir, ".deployloop-doctor-*")
	if err != nil {
		return Fail(CauseStorageUnwritable, cause(err), fmt.Sprintf("chown it to the user of deployloop, or set %s to a folder that this user may write", key))
	}
	_, err = file.WriteString("deployloop doctor\n")
	err = errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
	if err != nil {
		return Fail(CauseStorageUnwritable, cause(err), "see whether the disk is full or read-only (df, dmesg)")
	}
	return Finding{}
}

// cause of a failed call to the system, without the name of our own file.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Sprintf("%s cannot be written: %s", filepath.Dir(path.Path), path.Err)
	}
	return err.Error()
}
