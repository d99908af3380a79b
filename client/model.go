package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"convoy/api"
)

// Model writes the newest checkpoint that the cluster has recorded for a job to
// the file path, whole or not at all, and returns the status it belongs to. What
// arrives must have the SHA-256 that the status names.
func (c *Client) Model(ctx context.Context, job, path string) (*api.JobStatus, error) {
	// A newer checkpoint may be recorded between the status and the download.
	var mismatch error
	for range 3 {
		s, err := c.Status(ctx, job)
		if err != nil {
			return nil, err
		}
		if s.GetCheckpointSha256() == "" {
			return nil, &Error{codes.NotFound, fmt.Sprintf("job %s has no checkpoint yet: see `coordinator job status %s`", job, job)}
		}
		mismatch, err = c.download(ctx, job, path, s.GetCheckpointSha256())
		if err != nil || mismatch == nil {
			return s, err
		}
	}
	return nil, mismatch
}

// download writes what Model sends to path if its SHA-256 is want; mismatch
// tells that it is not.
func (c *Client) download(ctx context.Context, job, path, want string) (mismatch, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("%w: choose a folder that exists and can be written", err)
	}
	sum, err := c.receive(ctx, job, f)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	switch {
	case err != nil:
	case sum != want:
		mismatch = fmt.Errorf("the model of job %s arrived with SHA-256 %s, its status says %s: try again, and check the replica's disk if it stays", job, sum, want)
	default:
		if err = os.Rename(f.Name(), path); err == nil {
			return nil, nil
		}
	}
	return mismatch, errors.Join(err, os.Remove(f.Name()))
}

// receive writes the model of a job to f and returns its SHA-256 in hex. A
// stream that is taken up again starts over, and the file with it.
func (c *Client) receive(ctx context.Context, job string, f *os.File) (string, error) {
	h := sha256.New()
	open := func(ctx context.Context, jobs api.JobsClient) (grpc.ServerStreamingClient[api.Piece], error) {
		h.Reset()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		if err := f.Truncate(0); err != nil {
			return nil, err
		}
		return jobs.Model(ctx, &api.JobRequest{Job: job})
	}
	take := func(p *api.Piece) error {
		_, err := io.MultiWriter(f, h).Write(p.GetData())
		return err
	}
	err := follow(ctx, c, stream[api.Piece]{open, take, nil, patience{c.timeout, c.timeout}})
	return hex.EncodeToString(h.Sum(nil)), err
}

// checkpointTimeout is how long one replica may take to send a checkpoint.
const checkpointTimeout = 10 * time.Minute

// Checkpoint writes a job's checkpoint of a step to the file path, from any replica
// that keeps it. Unlike Model it knows no SHA-256 to compare with: whoever reads the
// file checks it.
func (c *Client) Checkpoint(ctx context.Context, job string, step int, path string) error {
	_, err := Ask(ctx, c.Connections, checkpointTimeout, func(ctx context.Context, conn grpc.ClientConnInterface) (struct{}, error) {
		return struct{}{}, fetchCheckpoint(ctx, api.NewReplicasClient(conn), &api.FetchCheckpointRequest{Job: job, Step: uint64(step)}, path)
	})
	return err
}

func fetchCheckpoint(ctx context.Context, from api.ReplicasClient, req *api.FetchCheckpointRequest, path string) (err error) {
	pieces, err := from.FetchCheckpoint(ctx, req)
	if err != nil {
		return sentence(err)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		piece, err := pieces.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return sentence(err)
		}
		if _, err := f.Write(piece.GetData()); err != nil {
			return err
		}
	}
}
