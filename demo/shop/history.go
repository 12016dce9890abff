package shop

import (
	"io/fs"
	"path"
	"strings"
	"time"
)

// commit is one change to the shop's repository: files maps a path in the
// repository to the embedded file whose text it gets.
type commit struct {
	author  author
	message string
	files   map[string]string
	version string // the release that was cut here
}

type author struct{ name, email string }

var (
	ada = author{"Ada Okafor", "ada@shop.example"}
	jon = author{"Jonas Berg", "jonas@shop.example"}
	mei = author{"Mei Tanaka", "mei@shop.example"}
	sam = author{"Sam Rivera", "sam@shop.example"}
)

// Commit is one commit of the shop's history, ready to be written.
type Commit struct {
	Author, Email, Message string
	Age                    time.Duration // before the newest
	Files                  []File
	Version                string // the release that was cut here, or ""
	Culprit                bool
}

// File is a file's path and text as a commit leaves it.
type File struct {
	Path string
	Text []byte
}

// modFile makes a checkout of the shop a Go module whose import paths hold.
const modFile = "module github.com/deployloop/deployloop/demo/shop\n\ngo 1.26\n"

// History is the shop's commits, oldest first: up to 1.41.2, to 1.41.3, and to
// 1.42.0 with the fault's commit among innocent ones.
func History(fault Fault) ([]Commit, error) {
	culprit := fault.commit
	commits := []commit{
		{author: ada, message: "Start the shop: what its services tell each other, and how they are watched", files: below("README.md", "order", "telemetry")},
		{author: jon, message: "Charge customers through the bank", files: below("services/payments")},
		{author: ada, message: "Check out: price, reserve, charge, confirm", files: below("services/checkout")},
		{author: sam, message: "Show articles and send baskets to checkout", files: below("services/storefront")},
		{author: sam, message: "Say how many of each service run", files: below("deploy"), version: Baseline},

		{author: jon, message: "Ship free of charge from 50.00 on", files: over(Good, "services/checkout/shipping.go")},
		{author: sam, message: "Tell about free shipping in the README", files: over(Good, "README.md"), version: Good},

		{author: sam, message: "Give checkout twice the memory", files: over(Bad, "deploy/checkout.yaml")},
		{author: jon, message: "Reserve an order's items in one pass", files: over(Bad, "services/checkout/stock.go")},
		{author: jon, message: "Test that a reservation is refused as a whole", files: over(Bad, "services/checkout/stock_test.go")},
		culprit,
		{author: ada, message: "Write down how to roll back", files: over(Bad, "docs/rollback.md")},
		{author: jon, message: "Take what the parcel service takes for gifts", files: over(Bad, "services/checkout/shipping.go")},
		{author: sam, message: "Give the storefront half as much memory again", files: over(Bad, "deploy/storefront.yaml"), version: Bad},
	}
	out := make([]Commit, 0, len(commits))
	for i, c := range commits {
		done := Commit{
			Author: c.author.name, Email: c.author.email, Message: c.message, Version: c.version,
			Age:     time.Duration(len(commits)-1-i) * 97 * time.Minute,
			Culprit: c.message == culprit.message,
		}
		for to, from := range c.files {
			text, err := source.ReadFile(from)
			if err != nil {
				return nil, err
			}
			done.Files = append(done.Files, File{Path: to, Text: text})
		}
		if i == 0 {
			done.Files = append(done.Files, File{Path: "go.mod", Text: []byte(modFile)})
		}
		out = append(out, done)
	}
	return out, nil
}

// over is files of a release, at the places where they belong.
func over(release string, paths ...string) map[string]string {
	files := make(map[string]string, len(paths))
	for _, p := range paths {
		files[p] = path.Join("releases", release, p)
	}
	return files
}

// below is all files under the given paths, at their own places.
func below(roots ...string) map[string]string {
	files := map[string]string{}
	for _, root := range roots {
		// The only error would be a root that is not embedded, which leaves a
		// commit empty: TestEveryCommitChangesSomething.
		_ = fs.WalkDir(source, root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasPrefix(p, "releases/") {
				files[p] = p
			}
			return err
		})
	}
	return files
}
