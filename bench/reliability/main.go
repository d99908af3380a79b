// Command reliability measures what faults and replication cost on clusters of real
// processes, beside PyTorch's DistributedDataParallel where that does the same, and
// writes the tables of docs/reliability.md; `make reliability` runs it.
//
// Each part's figures are a raw file of their own in docs/reliability, and the
// document is made of those that are there: parts may be measured one at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"convoy/bench/report"
)

// A part is one table of the document.
type part struct {
	name    string
	measure func(settings, context.Context) error
	table   func(settings, *report.Table) (string, error)
}

var parts = []part{
	{"recovery", settings.recovery, settings.recoveryTable},
	{"replicas", settings.replicas, settings.replicasTable},
	{"micro-batches", settings.microBatches, settings.microBatchesTable},
	{"coordination", settings.coordination, settings.coordinationTable},
	{"ddp", settings.ddp, settings.ddpTable},
	{"memory", settings.memory, settings.memoryTable},
}

type settings struct {
	only                []string
	coordinator, worker string
	torch               string
	document, raw       string
	strikes             int
	alternations        int
	rounds              int
	seconds             float64
	machine             report.Machine
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s settings
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	only := flag.String("only", "", "what to measure: "+strings.Join(names, ", ")+", with commas between, or none (default all)")
	flag.StringVar(&s.coordinator, "coordinator", "bin/coordinator", "the program coordinator")
	flag.StringVar(&s.worker, "worker", "bin/worker", "the program worker")
	flag.StringVar(&s.torch, "torch", "bench/torch", "folder of the PyTorch programs")
	flag.StringVar(&s.document, "document", "docs/reliability.md", "document whose tables are written")
	flag.StringVar(&s.raw, "raw", "docs/reliability", "folder of the raw figures")
	flag.IntVar(&s.strikes, "strikes", 20, "how often each fault strikes")
	flag.IntVar(&s.alternations, "alternations", 5, "how often each of two that are compared is measured")
	flag.IntVar(&s.rounds, "rounds", 3, "how often each cluster is measured")
	flag.Float64Var(&s.seconds, "seconds", 5, "time of each measurement of a cluster's speed")
	flag.BoolVar(&s.machine.Disturbed, "disturbed", false, "take what is measured while other processes use the cores")
	flag.Parse()
	s.machine.Threads = 2
	if flag.NArg() > 0 || s.strikes < 1 || s.alternations < 1 || s.rounds < 1 || s.seconds < 1 {
		return errors.New("want flags alone, at least one strike, alternation and round, and at least one second; see --help")
	}
	s.only = strings.FieldsFunc(*only, func(r rune) bool { return r == ',' || r == ' ' })
	for _, n := range s.only {
		if n != "none" && !slices.Contains(names, n) {
			return fmt.Errorf("there is no part %q; there are %s", n, strings.Join(names, ", "))
		}
	}
	var err error
	if s.coordinator, err = filepath.Abs(s.coordinator); err != nil {
		return err
	}
	if s.worker, err = filepath.Abs(s.worker); err != nil {
		return err
	}
	if err := os.MkdirAll(s.raw, 0o755); err != nil {
		return err
	}
	return errors.Join(s.measure(ctx), s.writeDocument())
}

// measure measures what was asked for. What cannot be measured leaves the figures
// of an earlier run, and the rest goes on.
func (s settings) measure(ctx context.Context) error {
	var all error
	for _, p := range parts {
		if ctx.Err() != nil || len(s.only) > 0 && !slices.Contains(s.only, p.name) {
			continue
		}
		if err := p.measure(s, ctx); err != nil {
			report.Progress("%s: %v", p.name, err)
			all = errors.Join(all, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(all, ctx.Err())
}

// writeDocument replaces the tables, which stand between comments.
func (s settings) writeDocument() error {
	b, err := os.ReadFile(s.document)
	if err != nil {
		return err
	}
	text, origins := string(b), report.Origins()
	for _, p := range parts {
		content, err := p.table(s, origins)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if text, err = report.Replace(text, p.name, content); err != nil {
			return fmt.Errorf("%s: %w", s.document, err)
		}
	}
	origins.Sort()
	if text, err = report.Replace(text, "origins", origins.String()); err != nil {
		return fmt.Errorf("%s: %w", s.document, err)
	}
	return os.WriteFile(s.document, []byte(text), 0o644)
}

// path is where a part's raw file is.
func (s settings) path(part string) string { return filepath.Join(s.raw, part+".json") }
