package ps

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"

	"convoy/api"
	"convoy/bus"
)

// log writes down an event of a job: one line of JSON in the job's folder, by
// the goroutine that writes the ledgers. What cannot be written there still goes
// to the process's log.
func (r *Replica) log(id, text string) {
	r.cfg.Log.Info(text, zap.String("job", id))
	l := &api.LogLine{UnixNanos: time.Now().UnixNano(), Replica: r.cfg.ID, Text: text}
	r.ledgers.later(func() {
		line, err := protojson.Marshal(l)
		if err == nil {
			err = appendLine(r.logPath(id), line)
		}
		if err != nil {
			r.cfg.Log.Warn("job log not written", zap.String("job", id), zap.Error(err))
		}
	})
}

func (r *Replica) logPath(id string) string { return filepath.Join(r.jobDir(id), "events.log") }

func appendLine(path string, line []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // a job that has not run has no folder yet
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// jobID is the form of job IDs; one from outside becomes a file name here.
var jobID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,80}$`)

// readLog reads a job's events; a torn line, left by a crash, is passed over.
func (r *Replica) readLog(id string) ([]*api.LogLine, error) {
	if !jobID.MatchString(id) {
		return nil, fmt.Errorf("%q is no job ID", id)
	}
	f, err := os.Open(r.logPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	var lines []*api.LogLine
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		line := &api.LogLine{}
		if protojson.Unmarshal(scan.Bytes(), line) == nil {
			lines = append(lines, line)
		}
	}
	return lines, scan.Err()
}

func ackMessage(a *api.Ack) bus.Message {
	return bus.Message{Envelope: &api.Envelope{Job: a.Job, From: a.Replica, Term: a.Term, Body: &api.Envelope_Ack{Ack: a}}}
}
