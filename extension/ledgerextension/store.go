package ledgerextension

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/deployloop/deployloop/internal/ledger"
)

const (
	// shards of the index. A batch rewrites only those shards whose keys
	// come or go, so its cost does not grow with the ledger.
	shards = 256
	// batchItems are written in one transaction, each batch with its index.
	batchItems  = 1000
	indexPrefix = "index/"
	indexFormat = 1
)

// store writes objects through a storage client, which cannot list its keys:
// an index in the same storage says which there are. It is written in the same
// batch as the objects, so that neither is ever without the other.
type store struct {
	client storage.Client
	keys   [shards]map[string]struct{}
}

// index is one persisted shard.
type index struct {
	Format int      `json:"v"`
	Keys   []string `json:"keys"`
}

func newStore(client storage.Client) *store {
	s := &store{client: client}
	for i := range s.keys {
		s.keys[i] = map[string]struct{}{}
	}
	return s
}

func shardOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32() % shards)
}

func shardKey(i int) string { return fmt.Sprintf("%s%02x", indexPrefix, i) }

// load gives every object to found, and to skipped the key of what is indexed
// and not there, or of an index that cannot be read. Where the storage can
// list its keys, the objects of such an index are found all the same.
func (s *store) load(ctx context.Context, found func(key string, value []byte), skipped func(key string, err error)) error {
	broken := false
	ops := make([]*storage.Operation, shards)
	for i := range ops {
		ops[i] = storage.GetOperation(shardKey(i))
	}
	if err := s.client.Batch(ctx, ops...); err != nil {
		return err
	}
	for i, op := range ops {
		if len(op.Value) == 0 {
			continue
		}
		var page index
		err := json.Unmarshal(op.Value, &page)
		if err == nil && page.Format != indexFormat {
			err = fmt.Errorf("the index is written in format %d, and this program reads %d", page.Format, indexFormat)
		}
		if err != nil {
			skipped(op.Key, err)
			broken = true
			continue
		}
		for _, key := range page.Keys {
			s.keys[i][key] = struct{}{}
		}
	}
	if walker, ok := s.client.(storage.Walker); ok && broken {
		if err := s.walk(ctx, walker); err != nil {
			return err
		}
	}
	for _, shard := range s.keys {
		for keys := range slices.Chunk(slices.Sorted(maps.Keys(shard)), batchItems) {
			ops := make([]*storage.Operation, len(keys))
			for i, key := range keys {
				ops[i] = storage.GetOperation(key)
			}
			if err := s.client.Batch(ctx, ops...); err != nil {
				return err
			}
			for _, op := range ops {
				if op.Value == nil {
					skipped(op.Key, fmt.Errorf("it is in the index and not in the storage"))
					continue
				}
				found(op.Key, op.Value)
			}
		}
	}
	return nil
}

// walk finds the keys without the index.
func (s *store) walk(ctx context.Context, walker storage.Walker) error {
	return walker.Walk(ctx, func(key string, _ []byte) ([]*storage.Operation, error) {
		if !strings.HasPrefix(key, indexPrefix) {
			s.keys[shardOf(key)][key] = struct{}{}
		}
		return nil, nil
	})
}

// write persists items in batches; on an error it returns what is not written.
func (s *store) write(ctx context.Context, items []ledger.Item) (left []ledger.Item, err error) {
	for len(items) > 0 {
		n := min(len(items), batchItems)
		if err := s.writeBatch(ctx, items[:n]); err != nil {
			return items, err
		}
		items = items[n:]
	}
	return nil, nil
}

func (s *store) writeBatch(ctx context.Context, items []ledger.Item) error {
	ops := make([]*storage.Operation, 0, len(items)+8)
	altered := map[int]map[string]struct{}{} // shards as they will be
	shard := func(i int) map[string]struct{} {
		if altered[i] == nil {
			altered[i] = maps.Clone(s.keys[i])
		}
		return altered[i]
	}
	for _, item := range items {
		i := shardOf(item.Key)
		_, known := s.keys[i][item.Key]
		if item.Value == nil {
			ops = append(ops, storage.DeleteOperation(item.Key))
			if known {
				delete(shard(i), item.Key)
			}
			continue
		}
		ops = append(ops, storage.SetOperation(item.Key, item.Value))
		if !known {
			shard(i)[item.Key] = struct{}{}
		}
	}
	for i, keys := range altered {
		page, err := json.Marshal(index{indexFormat, slices.Sorted(maps.Keys(keys))})
		if err != nil {
			return err
		}
		ops = append(ops, storage.SetOperation(shardKey(i), page))
	}
	if err := s.client.Batch(ctx, ops...); err != nil {
		return err
	}
	for i, keys := range altered {
		s.keys[i] = keys
	}
	return nil
}
