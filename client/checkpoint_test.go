package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
)

// keeper is a Replicas server that keeps one checkpoint.
type keeper struct {
	api.UnimplementedReplicasServer
	step    uint64
	content string
	breaks  bool // in the middle
}

func (k *keeper) FetchCheckpoint(r *api.FetchCheckpointRequest, stream grpc.ServerStreamingServer[api.Piece]) error {
	if r.GetJob() != "known" || r.GetStep() != k.step {
		return status.Errorf(codes.NotFound, "no checkpoint at step %d", r.GetStep())
	}
	half := len(k.content) / 2
	if err := stream.Send(&api.Piece{Data: []byte(k.content[:half])}); err != nil {
		return err
	}
	if k.breaks {
		return status.Error(codes.Unavailable, "shutting down")
	}
	return stream.Send(&api.Piece{Data: []byte(k.content[half:])})
}

// TestCheckpoint: a checkpoint comes from whichever replica keeps it, whole,
// whatever another one sent of it before.
func TestCheckpoint(t *testing.T) {
	broken, older, whole := &keeper{step: 7, content: "another file, and a longer one", breaks: true}, &keeper{step: 3}, &keeper{step: 7, content: "the state"}
	c := dialFakes(t, 5*time.Second, nil, &fake{keeper: broken}, &fake{keeper: older}, &fake{keeper: whole})
	path := filepath.Join(t.TempDir(), "state")
	for range 8 { // it begins with another replica each time
		if err := c.Checkpoint(t.Context(), "known", 7, path); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != whole.content {
			t.Fatalf("%q, %v, want %q", b, err, whole.content)
		}
	}
	if err := c.Checkpoint(t.Context(), "known", 8, path); err == nil || !strings.Contains(err.Error(), "no checkpoint at step 8") {
		t.Errorf("a checkpoint that nobody keeps: %v", err)
	}
	if err := c.Checkpoint(t.Context(), "known", 7, filepath.Join(path, "below", "a", "file")); err == nil {
		t.Error("written below a file")
	}
}
