package ps

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"convoy/api"
)

// Identity says whose data a folder holds. A replica that joins a cluster with the
// folder of another one would bring a log that contradicts the cluster's.
type Identity struct {
	Replica string `json:"replica"`
	Cluster string `json:"cluster"` // its name
	UID     string `json:"uid"`     // as the cluster's log has it
}

func identityPath(dir string) string { return filepath.Join(dir, "identity.json") }

// ReadIdentity returns what a data folder says of itself; the zero Identity where
// it says nothing.
func ReadIdentity(dir string) (Identity, error) {
	var id Identity
	b, err := os.ReadFile(identityPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return id, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err != nil {
		return id, fmt.Errorf("read whose folder %s is: %w; give another folder if it is not this coordinator's", dir, err)
	}
	return id, nil
}

// HasLog reports whether a data folder has a Raft log.
func HasLog(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, "raft"))
	return err == nil && len(entries) > 0
}

// nameCluster gives the cluster its uid, once and for all. A cluster that nobody
// can join needs none.
func (r *Replica) nameCluster(ctx context.Context) {
	if r.cfg.Raft.Listener == nil || r.control.uid() != "" {
		return
	}
	entry := &api.Entry{Body: &api.Entry_ClusterBegin{ClusterBegin: &api.ClusterBegin{Uid: rand.Text()}}}
	if err := r.Propose(ctx, entry); err != nil && ctx.Err() == nil {
		r.cfg.Log.Debug("the next leader names the cluster", zap.Error(err))
	}
}

func (c *control) uid() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Uid
}

// keepIdentity writes down whose this data folder is, as soon as that is known.
func (r *Replica) keepIdentity() error {
	uid := r.control.uid()
	if uid == "" || r.identified {
		return nil
	}
	if err := WriteIdentity(r.cfg.Dir, Identity{Replica: r.cfg.ID, Cluster: r.cfg.Cluster, UID: uid}); err != nil {
		return err
	}
	r.identified = true
	return nil
}

// WriteIdentity replaces what a data folder says of itself.
func WriteIdentity(dir string, id Identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "identity.*.tmp")
	if err != nil {
		return fmt.Errorf("write down whose folder %s is: %w", dir, err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), identityPath(dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write down whose folder %s is: %w", dir, err), os.Remove(f.Name()))
	}
	return nil
}
