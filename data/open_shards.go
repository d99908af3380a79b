package data

import (
	"context"
	"fmt"

	"convoy/digest"
)

// OpenBuiltin makes the built-in set, whose manifest must have the digest that a
// recipe names.
func OpenBuiltin(want digest.Sum) (*Set, error) {
	set := Digits()
	if have := set.Manifest.Digest(); have != want {
		return nil, fmt.Errorf("this process makes it with digest %s, the job wants %s: run the same release everywhere", have, want)
	}
	return set, nil
}

// OpenShards makes a set of shards that come from source: all of it in memory, or,
// where it has more than limit bytes, lazy, for jobs that mix examples within
// windows of so many shards; lazy is nil in the first case. The lazy one lives as
// long as life. A limit of 0 is MaxResidentBytes, which is also the most.
func OpenShards(ctx, life context.Context, m Manifest, window int, limit int64, source Source) (set *Set, lazy *Lazy, err error) {
	if limit == 0 {
		limit = MaxResidentBytes
	}
	if m.Bytes() <= limit {
		set, err := FromShards(m, func(sha digest.Sum) ([]byte, error) { return source.Get(ctx, sha) })
		return set, nil, err
	}
	switch needs := m.Needs(window); {
	case window == 0:
		return nil, nil, fmt.Errorf("it has %d bytes, and this process holds %d: set data.window in the job file, or let it hold more (--data-memory)", m.Bytes(), limit)
	case needs > limit:
		return nil, nil, fmt.Errorf("a window of %d shards needs %d bytes, and this process holds %d: lower data.window in the job file, or let it hold more (--data-memory)", window, needs, limit)
	}
	if lazy, err = Lazily(life, m, limit, source); err != nil {
		return nil, nil, err
	}
	return lazy.Set(), lazy, nil
}
