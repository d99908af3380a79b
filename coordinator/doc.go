// Package coordinator is the coordinator process as a library: everything
// around the parameter server's replica. It owns the gRPC server and the calls
// on it, the way of a call to the leader, the shards on this replica's disk,
// the lock on the run folder and the carrier of messages; Run owns every
// goroutine and returns after them.
//
// A client may ask any replica. One that does not lead passes the call on
// itself and waits a bounded time while nobody leads, so an election looks like
// a slow call and not like an error; a Watch goes on at the next leader without
// ending for the client. (rqlite and etcd forward writes the same way.)
//
// A coordinator of its own process (TCP, NATS, Raft over TCP) and one inside
// `coordinator train` (no socket at all) differ in the listener, the carrier and
// the Raft transport, and in nothing else.
package coordinator
