package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"convoy/api"
	"convoy/client"
	"convoy/cmd/internal/cli"
	"convoy/coordinator"
	"convoy/worker"
)

// clusterName is that of the cluster inside this process.
const clusterName = "convoy"

// train opens a coordinator in the run's folder and sees the job through.
func (r *trainRun) train(c *cobra.Command) error {
	var job resolved
	if !r.resumed { // one that goes on may have its data already
		var err error
		if job, err = resolve(r.file); err != nil {
			return err
		}
		r.file = job.file
	}
	for _, warning := range r.file.Warnings(r.workers) {
		if _, err := fmt.Fprintln(c.ErrOrStderr(), "warning:", warning); err != nil {
			return err
		}
	}
	log, closeLog, err := r.openLog()
	if err != nil {
		return err
	}
	server, err := coordinator.Open(coordinator.Config{InProcess: true, Cluster: clusterName, Dir: r.dir, Log: log})
	if err != nil {
		return errors.Join(err, closeLog())
	}
	end, err := r.serve(c.Context(), server, log, func(ctx context.Context, cl *client.Client) (outcome, error) {
		return r.see(ctx, c, cl, job)
	})
	err = errors.Join(err, closeLog())
	if end.result == nil && c.Context().Err() != nil {
		return cli.Interruptedf("interrupted at step %d of %d: go on with `%s train --resume %s`",
			end.status.GetStep(), end.status.GetSteps(), program(), r.dir)
	}
	if err != nil {
		return err
	}
	return printResult(c.OutOrStdout(), r, *end.result)
}

// openLog makes the run's folder and opens the log in it. Two processes may
// append to one log; the coordinator's lock keeps them apart in all else.
func (r *trainRun) openLog() (*zap.Logger, func() error, error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, nil, cli.Usagef("folder for the run: %w: name one that can be written with --out", err)
	}
	f, err := os.OpenFile(filepath.Join(r.dir, logFileName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, cli.Usagef("folder for the run: %w: name one that can be written", err)
	}
	settings := zap.NewProductionEncoderConfig()
	settings.TimeKey, settings.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(settings), zapcore.Lock(f), zapcore.InfoLevel)
	return zap.New(core), f.Close, nil
}

// outcome is how far a run came: result is nil unless its job finished.
type outcome struct {
	status *api.JobStatus
	result *result
}

// serve runs server and the workers for as long as see takes.
func (r *trainRun) serve(ctx context.Context, server *coordinator.Server, log *zap.Logger, see func(context.Context, *client.Client) (outcome, error)) (end outcome, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	cl, err := client.Dial(server.Addr(), client.Options{Dialer: server.Dial})
	if err != nil {
		cancel()
		return end, errors.Join(err, group.Wait())
	}
	for n := range r.workers {
		group.Go(func() error { return r.work(ctx, fmt.Sprintf("w%d", n+1), server, cl, log) })
	}
	group.Go(func() (err error) {
		defer cancel()
		end, err = see(ctx, cl)
		return err
	})
	return end, errors.Join(group.Wait(), cl.Close())
}

// work runs one worker of this process.
func (r *trainRun) work(ctx context.Context, id string, server *coordinator.Server, cl *client.Client, log *zap.Logger) error {
	w, err := worker.New(worker.Config{
		ID: id, Cluster: clusterName, Threads: r.threads,
		Cache:    filepath.Join(r.dir, "cache"),
		Carrier:  server.Carrier(),
		Replicas: cl.Connections,
		Log:      log,
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// see hands the job in, unless the folder's log has it, follows it to its end
// and writes model and result down.
func (r *trainRun) see(ctx context.Context, c *cobra.Command, cl *client.Client, job resolved) (outcome, error) {
	status, err := r.hand(ctx, cl, job)
	if err != nil {
		return outcome{}, err
	}
	if _, err := fmt.Fprintf(c.ErrOrStderr(), "job %s, folder %s\n", status.GetJob(), r.dir); err != nil {
		return outcome{}, err
	}
	var shown progress = noProgress{}
	if r.show {
		shown = newProgress(c.ErrOrStderr())
	}
	measured := &measure{progress: shown}
	last, err := follow(ctx, cl, status.GetJob(), measured)
	if last != nil {
		status = last
	}
	if err == nil {
		err = ending(status)
	}
	if err != nil {
		return outcome{status: status}, err
	}
	status, err = cl.Model(ctx, status.GetJob(), filepath.Join(r.dir, modelFileName))
	if err != nil {
		return outcome{status: status}, err
	}
	history, err := historyOf(ctx, cl, status)
	if err != nil {
		return outcome{status: status}, err
	}
	res := resultOf(r, status, &measured.pace, history)
	b, err := json.MarshalIndent(res, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(r.dir, resultFileName), append(b, '\n'))
	}
	return outcome{status, &res}, err
}

// hand returns the folder's job, handing it in where that has not happened. A
// folder holds one job, so its request follows from the recipe.
func (r *trainRun) hand(ctx context.Context, cl *client.Client, job resolved) (*api.JobStatus, error) {
	if r.resumed {
		jobs, err := cl.List(ctx)
		if err != nil {
			return nil, err
		}
		if len(jobs) > 0 {
			return jobs[len(jobs)-1], nil
		}
		if job, err = resolve(r.file); err != nil {
			return nil, err
		}
	} else if err := writeFile(filepath.Join(r.dir, jobFileName), job.file.YAML()); err != nil {
		return nil, err
	}
	return cl.Submit(ctx, client.Submission{
		RequestID: "train-" + job.recipe.Hash().String()[:32], File: job.file.YAML(), Data: job.upload(),
	})
}

// measure is a progress that also takes the run's mean speed.
type measure struct {
	progress
	pace pace
}

func (m *measure) show(s *api.JobStatus) error {
	m.pace.see(time.Now(), s)
	return m.progress.show(s)
}
