// Package api holds Convoy's messages and services: what a client asks a
// cluster (Jobs), what the cluster's processes ask each other (Replicas), what
// the Raft log holds (Entry) and what travels on the bus (Envelope). The .proto
// files are the source; the Go code beside them is generated and committed.
package api

//go:generate sh ./generate.sh
