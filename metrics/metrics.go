// Package metrics owns what a coordinator and a worker count of themselves, in
// Prometheus' form, and the page that shows it.
//
// It knows nothing of what it counts. Everything is counted whether or not
// somebody looks; a label's values are listed here, so that nothing from outside
// can make the page grow. Names follow Prometheus' own conventions, "Metric and
// label naming". docs/metrics.md says what each means.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// What is repaired: values of the label "what" of convoy_repairs_total.
const (
	Gradient   = "gradient"
	State      = "state"
	Checkpoint = "checkpoint"
	LedgerRow  = "ledger_row"
	Shard      = "shard"
	Manifest   = "manifest"
)

// process is what both kinds of processes count.
type process struct {
	registry *prometheus.Registry
	refused  *prometheus.CounterVec
	repairs  *prometheus.CounterVec
	steps    *prometheus.CounterVec
}

func newProcess() process {
	p := process{registry: prometheus.NewRegistry()}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.refused = p.counters("convoy_refused_total", "Messages and calls that were refused.", "kind", "reason")
	p.repairs = p.counters("convoy_repairs_total", "What was fetched because it was lost or damaged here.", "what")
	p.steps = p.counters("convoy_steps_total", "Steps of jobs.", "did")
	return p
}

func (p *process) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	p.registry.MustRegister(v)
	return v
}

func (p *process) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	p.registry.MustRegister(g)
	return g
}

// Refused counts messages of a kind that were refused for a reason. Neither may
// come from outside.
func (p *process) Refused(kind, reason string, n uint64) {
	p.refused.WithLabelValues(kind, reason).Add(float64(n))
}

// Repaired counts things that were fetched.
func (p *process) Repaired(what string, n int) { p.repairs.WithLabelValues(what).Add(float64(n)) }

// Steps counts steps with which something was done: "published", "applied",
// "committed" or "computed".
func (p *process) Steps(did string, n uint64) { p.steps.WithLabelValues(did).Add(float64(n)) }

// Carried is what a carrier of messages has counted since it began.
type Carried struct {
	SentMessages, SentBytes         uint64
	ReceivedMessages, ReceivedBytes uint64
	Lost, Dropped, Malformed        uint64
}

// Carrier shows what a carrier has counted, which now reads.
func (p *process) Carrier(now func() Carried) {
	p.registry.MustRegister(&carrier{now: now})
}

// carrier reads a carrier's counters when somebody looks.
type carrier struct{ now func() Carried }

var (
	busMessages  = prometheus.NewDesc("convoy_bus_messages_total", "Messages on the bus.", []string{"what"}, nil)
	busBytes     = prometheus.NewDesc("convoy_bus_bytes_total", "Bytes of messages on the bus.", []string{"direction"}, nil)
	busMalformed = prometheus.NewDesc("convoy_bus_malformed_total", "Frames off the bus that were no message.", nil, nil)
)

// Describe lists the metrics.
func (c *carrier) Describe(out chan<- *prometheus.Desc) {
	out <- busMessages
	out <- busBytes
	out <- busMalformed
}

// Collect reads them.
func (c *carrier) Collect(out chan<- prometheus.Metric) {
	n := c.now()
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	count(busMessages, n.SentMessages, "sent")
	count(busMessages, n.ReceivedMessages, "received")
	count(busMessages, n.Lost, "lost")
	count(busMessages, n.Dropped, "dropped")
	count(busBytes, n.SentBytes, "sent")
	count(busBytes, n.ReceivedBytes, "received")
	count(busMalformed, n.Malformed)
}

// Replica is what a coordinator counts.
type Replica struct {
	process
	// Lag is the number of steps held here that are not committed.
	Lag prometheus.Gauge
	// Planned is the number of workers in the standing plan, on the leader.
	Planned prometheus.Gauge
	// Leads is 1 on the leader.
	Leads prometheus.Gauge
	// LeaderChanges counts the leaders seen.
	LeaderChanges prometheus.Counter
	// Collecting is the seconds from the beginning of steps to when the last of
	// their partials was there, on the leader.
	Collecting prometheus.Counter
	// CheckpointSeconds is how long checkpoints take to be durable.
	CheckpointSeconds prometheus.Histogram
	partials          *prometheus.CounterVec
}

// NewReplica returns a coordinator's metrics, all 0.
func NewReplica() *Replica {
	r := &Replica{process: newProcess()}
	r.partials = r.counters("convoy_partials_total", "Chunks of partials that the leader took, or had already.", "result")
	r.Lag = r.gauge("convoy_commit_lag_steps", "Steps held here that are not committed.")
	r.Planned = r.gauge("convoy_workers_planned", "Workers in the standing plan, on the leader.")
	r.Leads = r.gauge("convoy_leader", "1 on the leader.")
	r.LeaderChanges = prometheus.NewCounter(prometheus.CounterOpts{Name: "convoy_leader_changes_total", Help: "Changes of the leader seen here."})
	r.Collecting = prometheus.NewCounter(prometheus.CounterOpts{Name: "convoy_collecting_seconds_total", Help: "Time from the beginning of steps to their last partial, on the leader."})
	r.CheckpointSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "convoy_checkpoint_seconds", Help: "Time until a checkpoint is durable.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
	})
	r.registry.MustRegister(r.LeaderChanges, r.Collecting, r.CheckpointSeconds)
	return r
}

// Partials counts chunks of partials: taken, or there already.
func (r *Replica) Partials(taken, duplicate uint64) {
	r.partials.WithLabelValues("taken").Add(float64(taken))
	r.partials.WithLabelValues("duplicate").Add(float64(duplicate))
}

// Worker is what a worker counts.
type Worker struct {
	process
	seconds *prometheus.CounterVec
}

// NewWorker returns a worker's metrics, all 0.
func NewWorker() *Worker {
	w := &Worker{process: newProcess()}
	w.seconds = w.counters("convoy_worker_seconds_total", "What a worker spends its time with.", "doing")
	return w
}

// Spent adds to the time spent computing and waiting.
func (w *Worker) Spent(computing, waiting float64) {
	w.seconds.WithLabelValues("computing").Add(computing)
	w.seconds.WithLabelValues("waiting").Add(waiting)
}
