package coordinator

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
)

const mnistJob = "model: lenet-relu\ndata: {name: mnist, dir: /data}\n"

func (c *cluster) put(id string, set *data.Set) error {
	for _, shard := range set.Manifest.Shards {
		sum := shard.Digest()
		b, err := set.Shard(shard)
		if err != nil {
			return err
		}
		if _, err := c.jobs(id).PutShard(c.ctx(), &api.PutShardRequest{Sha256: sum[:], Data: b}); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) missing(id string, set *data.Set) int {
	c.t.Helper()
	reply, err := c.jobs(id).MissingShards(c.ctx(), &api.MissingShardsRequest{Manifest: set.Manifest.Canonical()})
	if err != nil {
		c.t.Fatal(err)
	}
	return len(reply.Sha256)
}

// A job begins with its data on a majority, and in the end all replicas have it.
func TestDataGoesToAMajorityThenToAll(t *testing.T) {
	c := startCluster(t, 3)
	set := tinySet(t, "mnist", 28)
	submit := func() error {
		_, err := c.jobs("r2").Submit(c.ctx(), &api.SubmitRequest{RequestId: "request-of-a-test-03", JobFile: []byte(mnistJob), Manifest: set.Manifest.Canonical()})
		return err
	}
	if n := c.missing("r3", set); n != len(set.Manifest.Shards) {
		t.Errorf("%d shards are missing at first, want %d", n, len(set.Manifest.Shards))
	}
	err := submit()
	wantCode(t, err, codes.FailedPrecondition)
	if text := status.Convert(err).Message(); !strings.Contains(text, "0 of 3 replicas") || !strings.Contains(text, "MissingShards") {
		t.Errorf("error %q: want the count and what to do", text)
	}
	if n := c.group.submits(); n != 0 {
		t.Errorf("%d jobs without data, want none", n)
	}
	if err := c.put("r3", set); err != nil {
		t.Fatal(err)
	}
	if n := c.missing("r1", set); n != 0 {
		t.Errorf("%d shards are missing after all were put, want none", n)
	}
	if err := submit(); err != nil {
		t.Fatal(err)
	}
	for id, s := range c.servers {
		for len(s.store.Lacking(set.Manifest)) > 0 {
			if err := c.ctx().Err(); err != nil {
				t.Fatalf("%s lacks %d shards: %v", id, len(s.store.Lacking(set.Manifest)), err)
			}
			if err := s.pause(c.ctx(), retryPause); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestShardsNeedAMajority(t *testing.T) {
	c := startCluster(t, 3)
	set := tinySet(t, "mnist", 28)
	c.stops["r3"]()
	if err := c.put("r1", set); err != nil {
		t.Errorf("with two of three: %v", err)
	}
	c.stops["r2"]()
	err := c.put("r1", set)
	wantCode(t, err, codes.FailedPrecondition)
	for _, want := range []string{"1 of 3", "r2: ", "r3: ", "start the replicas"} {
		if !strings.Contains(status.Convert(err).Message(), want) {
			t.Errorf("error %q, want it to tell %q", err, want)
		}
	}
	if n := c.missing("r1", set); n != len(set.Manifest.Shards) {
		t.Errorf("%d shards are missing, want all: one of three is no majority", n)
	}
}

// Two uploads may have reached two different majorities: no replica has it all.
func TestSubmitGathersShards(t *testing.T) {
	c := startCluster(t, 3)
	set := tinySet(t, "mnist", 28)
	turn := []string{"r1", "r2", "r3"}
	i := 0
	for _, shard := range set.Manifest.Shards {
		sum := shard.Digest()
		b, err := set.Shard(shard)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{turn[i%3], turn[(i+1)%3]} {
			if err := c.servers[id].store.Put(sum, b); err != nil {
				t.Fatal(err)
			}
		}
		i++
	}
	if i < 2 {
		t.Fatalf("a set of %d shards shows nothing", i)
	}
	if _, err := c.jobs("r3").Submit(c.ctx(), &api.SubmitRequest{RequestId: "request-of-a-test-04", JobFile: []byte(mnistJob), Manifest: set.Manifest.Canonical()}); err != nil {
		t.Fatal(err)
	}
}

func TestShardsAreChecked(t *testing.T) {
	c := startCluster(t, 1)
	sum := digest.Of([]byte("shard"))
	shards := api.NewShardsClient(c.conn("r1"))
	for _, tt := range []struct {
		name string
		req  *api.PutShardRequest
	}{
		{"no digest", &api.PutShardRequest{Data: []byte("shard")}},
		{"empty", &api.PutShardRequest{Sha256: sum[:]}},
		{"other content", &api.PutShardRequest{Sha256: sum[:], Data: []byte("shart")}},
		{"too long", &api.PutShardRequest{Sha256: sum[:], Data: make([]byte, maxShard+1)}},
	} {
		_, err := shards.StoreShard(c.ctx(), tt.req)
		wantCode(t, err, codes.InvalidArgument)
		_, err = c.jobs("r1").PutShard(c.ctx(), tt.req)
		wantCode(t, err, codes.InvalidArgument)
	}
	_, err := shards.FetchShard(c.ctx(), &api.FetchShardRequest{Sha256: sum[:]})
	wantCode(t, err, codes.NotFound)
	_, err = shards.FetchManifest(c.ctx(), &api.FetchManifestRequest{Digest: sum[:]})
	wantCode(t, err, codes.NotFound)
	_, err = shards.Lacking(c.ctx(), &api.MissingShardsRequest{Manifest: []byte("{}")})
	wantCode(t, err, codes.InvalidArgument)
}

func TestShardsRoundTrip(t *testing.T) {
	c := startCluster(t, 1)
	set := tinySet(t, "mnist", 28)
	if err := c.put("r1", set); err != nil {
		t.Fatal(err)
	}
	shards := api.NewShardsClient(c.conn("r1"))
	if _, err := shards.StoreManifest(c.ctx(), &api.StoreManifestRequest{Manifest: set.Manifest.Canonical()}); err != nil {
		t.Fatal(err)
	}
	sum := set.Manifest.Digest()
	m, err := shards.FetchManifest(c.ctx(), &api.FetchManifestRequest{Digest: sum[:]})
	if err != nil || digest.Of(m.Manifest) != sum {
		t.Errorf("manifest %v, %v: not the one stored", m, err)
	}
	for _, shard := range set.Manifest.Shards {
		sum := shard.Digest()
		b, err := shards.FetchShard(c.ctx(), &api.FetchShardRequest{Sha256: sum[:]})
		if err != nil || digest.Of(b.GetData()) != sum {
			t.Errorf("shard %.8s: %d bytes, %v", sum, len(b.GetData()), err)
		}
	}
}
