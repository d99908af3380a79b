package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convoy/api"
	"convoy/checkpoint"
	"convoy/digest"
)

// damages are what a disk does to a file.
var damages = []struct {
	name string
	do   func(b []byte) []byte
}{
	{"first byte flipped", func(b []byte) []byte { b[0] ^= 1; return b }},
	{"middle byte flipped", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
	{"last byte flipped", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
	{"emptied", func([]byte) []byte { return nil }},
	{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }},
	{"a byte shorter", func(b []byte) []byte { return b[:len(b)-1] }},
	{"extended", func(b []byte) []byte { return append(b, 0) }},
}

// kinds are the files that a replica mends by itself: where they lie below its
// folder. Each pattern matches at least one file.
var kinds = map[string]string{
	"checkpoint": "jobs/*/checkpoints/*.safetensors",
	"ledger":     "jobs/*/ledger",
	"shard":      "data/shards/*",
	"manifest":   "data/manifests/*",
}

// spoil damages all files of a kind on a replica's disk, or removes them.
func (c *Cluster) spoil(id, pattern string, do func([]byte) []byte) {
	c.t.Helper()
	list, err := filepath.Glob(filepath.Join(c.dir, id, pattern))
	c.must(err, "list %s", pattern)
	if len(list) == 0 {
		c.t.Fatalf("replica %s has no %s", id, pattern)
	}
	for _, path := range list {
		b, err := os.ReadFile(path)
		c.must(err, "read")
		c.must(os.WriteFile(path, do(b), 0o600), "damage")
	}
}

// whole waits until a replica's files of a job are what they should be.
func (c *Cluster) whole(id string, done *api.JobStatus, shards []string) {
	c.t.Helper()
	c.eventually("whole checkpoint on "+id, func(context.Context) bool { return c.checkpointIsWhole(id, done) })
	for _, name := range shards {
		sum, err := digest.Parse(filepath.Base(name))
		c.must(err, "name of a shard")
		c.eventually("whole "+name+" on "+id, func(context.Context) bool {
			b, err := os.ReadFile(filepath.Join(c.dir, id, name))
			return err == nil && digest.Of(b) == sum
		})
	}
}

func (c *Cluster) checkpointIsWhole(id string, done *api.JobStatus) bool {
	c.t.Helper()
	want, err := digest.Parse(done.CheckpointSha256)
	c.must(err, "digest of the checkpoint")
	return checkpoint.Verify(filepath.Join(c.dir, id, "jobs", done.Job, "checkpoints", fmt.Sprintf("step-%09d.safetensors", done.CheckpointStep)), want) == nil
}

// content lists what is named by its digest on a replica's disk.
func (c *Cluster) content(id string) (names []string) {
	c.t.Helper()
	for _, pattern := range []string{kinds["shard"], kinds["manifest"]} {
		list, err := filepath.Glob(filepath.Join(c.dir, id, pattern))
		c.must(err, "list")
		for _, path := range list {
			name, err := filepath.Rel(filepath.Join(c.dir, id), path)
			c.must(err, "name")
			names = append(names, name)
		}
	}
	return names
}

// TestDamagedFilesAreMended: a replica is killed in the middle of a job; files of
// it are damaged, each kind in each way; it starts, the job ends with the hash of
// the run without faults, and the replica's files are whole.
func TestDamagedFilesAreMended(t *testing.T) {
	want := reference(t)
	ways := damages
	if testing.Short() {
		ways = ways[1:2]
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := Start(t, Config{Replicas: 3, Workers: 2, ChunkFloats: 4096})
			job := c.Submit(faultJob(), Small())
			c.WaitStep(job, 20)
			id := c.Follower()
			c.eventually("checkpoint on "+id, func(context.Context) bool {
				list, err := filepath.Glob(filepath.Join(c.dir, id, kinds["checkpoint"]))
				return err == nil && len(list) > 0
			})
			content := c.content(id)
			c.Kill(id)
			for _, pattern := range kinds {
				c.spoil(id, pattern, way.do)
			}
			c.Restart(id)
			done := c.WaitDone(job)
			if done.Digest != want {
				t.Errorf("digest %s, want %s", done.Digest, want)
			}
			c.whole(id, done, content)
			checkLedger(t, c.Rows(job), done)
			c.ledgerOf(id, done)
		})
	}
}

// ledgerOf waits until a replica's own ledger has the whole job.
func (c *Cluster) ledgerOf(id string, done *api.JobStatus) {
	c.t.Helper()
	c.eventually("whole ledger on "+id, func(ctx context.Context) bool {
		rows, err := c.rowsOf(ctx, id, done.Job)
		return err == nil && uint64(len(rows)) == done.Steps
	})
}

// rowsOf returns the rows of a job that a replica itself has.
func (c *Cluster) rowsOf(ctx context.Context, id, job string) (rows []*api.LedgerRow, err error) {
	for i, p := range c.peers {
		if p.ID != id {
			continue
		}
		stream, err := api.NewReplicasClient(c.client.Connections()[i]).FetchRows(ctx, &api.RowsRequest{Job: job})
		for err == nil {
			var row *api.LedgerRow
			if row, err = stream.Recv(); err == nil {
				rows = append(rows, row)
			}
		}
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return rows, nil
}

// TestModelComesFromAWholeCopy: after the job has ended the checkpoint is damaged
// on all replicas but one. The model is what it was; the leader's copy is mended
// because somebody asked for it, those of others when they start.
func TestModelComesFromAWholeCopy(t *testing.T) {
	c := Start(t, Config{Replicas: 3, Workers: 2})
	job := c.Submit(job(1, 1), Small())
	done := c.WaitDone(job)
	for _, keep := range c.peers {
		for _, p := range c.peers {
			c.whole(p.ID, done, nil)
		}
		for _, p := range c.peers {
			if p.ID != keep.ID {
				c.spoil(p.ID, kinds["checkpoint"], damages[1].do)
			}
		}
		c.eventually("mended checkpoint on the leader", func(ctx context.Context) bool {
			path := filepath.Join(t.TempDir(), "model")
			if _, err := c.client.Model(ctx, job, path); err != nil {
				return false // connections to replicas that have just started may take a second
			}
			b, err := os.ReadFile(path)
			c.must(err, "read the model")
			if got := digest.Of(b).String(); got != done.CheckpointSha256 {
				t.Errorf("with one copy on %s the model has SHA-256 %s, want %s", keep.ID, got, done.CheckpointSha256)
			}
			return c.checkpointIsWhole(c.Leader(), done)
		})
		for _, p := range c.peers {
			if p.ID != keep.ID {
				c.StopReplica(p.ID)
				c.Restart(p.ID)
			}
		}
	}
}

// TestFullDiskStopsOneReplica: a replica whose disk takes no checkpoint stops with
// an error that names the file and says what to do; the others go on to the hash
// of the run without faults; and once the disk is mended the replica is back.
func TestFullDiskStopsOneReplica(t *testing.T) {
	want := reference(t)
	for _, who := range []string{"follower", "leader"} {
		t.Run(who, func(t *testing.T) {
			c := Start(t, Config{Replicas: 3, Workers: 2, ChunkFloats: 4096})
			job := c.Submit(faultJob(), Small())
			c.WaitStep(job, 20)
			id := c.Leader()
			if who == "follower" {
				id = c.Follower()
			}
			// A folder that takes no file, whoever this test runs as.
			folder := filepath.Join(c.dir, id, "jobs", job, "checkpoints")
			c.must(os.Rename(folder, folder+".old"), "take the folder away")
			c.must(os.WriteFile(folder, nil, 0o600), "put a file in its place")
			p := c.replicas[id]
			select {
			case <-p.ended:
			case <-t.Context().Done():
			}
			if p.err == nil || !strings.Contains(p.err.Error(), folder) || !strings.Contains(p.err.Error(), "repair the disk, and start this replica again") {
				t.Errorf("the replica stopped with %v: want the file, and what to do", p.err)
			}
			delete(c.replicas, id)
			c.must(os.Remove(folder), "remove the file")
			c.must(os.Rename(folder+".old", folder), "put the folder back")
			c.Restart(id)
			done := c.WaitDone(job)
			if done.Digest != want {
				t.Errorf("digest %s, want %s", done.Digest, want)
			}
			c.whole(id, done, nil)
			checkLedger(t, c.Rows(job), done)
		})
	}
}
