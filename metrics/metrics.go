// Package metrics owns what a coordinator counts of itself, in Prometheus' form,
// and the page that shows it.
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

// Replica is what a coordinator counts.
type Replica struct {
	registry *prometheus.Registry
	refused  *prometheus.CounterVec
	repairs  *prometheus.CounterVec

	// Lag is the number of steps held here that are not committed.
	Lag prometheus.Gauge
	// Planned is the number of workers in the standing plan, on the leader.
	Planned prometheus.Gauge
	// Leads is 1 on the leader.
	Leads prometheus.Gauge
	// LeaderChanges counts the changes of the leader, from and to none included.
	LeaderChanges prometheus.Counter
	// CheckpointSeconds is how long checkpoints take to be durable.
	CheckpointSeconds prometheus.Histogram
}

// NewReplica returns a coordinator's metrics, all 0.
func NewReplica() *Replica {
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	r := &Replica{
		registry:      prometheus.NewRegistry(),
		refused:       vector("convoy_refused_total", "Calls that were refused for what they say.", "method", "reason"),
		repairs:       vector("convoy_repairs_total", "What was fetched because it was lost or damaged here.", "what"),
		Lag:           gauge("convoy_commit_lag_steps", "Steps held here that are not committed."),
		Planned:       gauge("convoy_workers_planned", "Workers in the standing plan, on the leader."),
		Leads:         gauge("convoy_leader", "1 on the leader, else 0."),
		LeaderChanges: prometheus.NewCounter(prometheus.CounterOpts{Name: "convoy_leader_changes_total", Help: "Changes of the leader seen here."}),
		CheckpointSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "convoy_checkpoint_seconds", Help: "Time until a checkpoint is durable.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}),
	}
	r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		r.refused, r.repairs, r.Lag, r.Planned, r.Leads, r.LeaderChanges, r.CheckpointSeconds)
	return r
}

// Refused counts a call of a method that was refused for a reason. Neither may
// come from outside.
func (r *Replica) Refused(method, reason string) { r.refused.WithLabelValues(method, reason).Inc() }

// Repaired counts things that were fetched.
func (r *Replica) Repaired(what string, n int) { r.repairs.WithLabelValues(what).Add(float64(n)) }

// Carried is what a carrier of messages has counted since it began.
type Carried struct {
	SentMessages, SentBytes         uint64
	ReceivedMessages, ReceivedBytes uint64
	Lost, Dropped, Malformed        uint64
}

// Carrier shows what a carrier has counted, which now reads.
func (r *Replica) Carrier(now func() Carried) {
	r.registry.MustRegister(&carrier{now: now})
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
