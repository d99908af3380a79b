package ps

import (
	"bytes"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// simRaft is a replica's Raft node after Ongaro and Ousterhout, "In search of an
// understandable consensus algorithm", 2014, with the leader's lease of
// hashicorp/raft: votes split, entries that a minority took are overwritten by a
// later leader, a leader that is cut off leads on for up to its lease, and the
// control FSM lags behind the log. Term, vote and log are on its disk and survive;
// a replica that loses those has to come back as a new one, which is a change of
// membership and not modelled, as snapshots are not. There are no pre-votes: a
// replica that was cut off disturbs more than the real one does.
type simRaft struct {
	r *simReplica

	// On its disk.
	term  uint64
	voted string
	log   []simEntry // the first has index 1

	// In memory.
	role       simRole
	leader     string
	votes      map[string]bool
	next       map[string]int           // leader: the first entry to send
	match      map[string]int           // leader: the last entry known to be there
	heardAt    map[string]time.Duration // leader: the last answer
	commit     int
	barrier    int // leader: once this entry is applied it decides
	campaignAt time.Duration
	sentAt     time.Duration
	futures    []simFuture
}

type simEntry struct {
	term uint64
	data []byte // nil: a new leader's barrier
}

// simFuture answers an append; an entry that is lost with the leadership may have
// been committed all the same.
type simFuture struct {
	index  int
	term   uint64
	answer func(error)
}

type simRole int

const (
	raftFollower simRole = iota
	raftCandidate
	raftLeader
)

const (
	simElection  = 500 * time.Millisecond
	simLease     = simElection / 2
	simHeartbeat = 50 * time.Millisecond
	raftTick     = 25 * time.Millisecond
)

// restart is what a crash leaves of the node.
func (n *simRaft) restart() {
	*n = simRaft{r: n.r, term: n.term, voted: n.voted, log: n.log}
	n.wait()
	if n.r.life == 1 {
		n.campaignAt = n.r.w.now + n.r.w.between(time.Millisecond, simElection) // no leader is missed yet
	}
	n.r.every(raftTick, n.tick)
}

func (n *simRaft) wait() {
	n.campaignAt = n.r.w.now + n.r.w.between(simElection, 2*simElection)
}

func (n *simRaft) majority(count int) bool { return count > len(n.r.w.replicas)/2 }

func (n *simRaft) tick() {
	now := n.r.w.now
	switch {
	case n.role != raftLeader:
		if now >= n.campaignAt {
			n.campaign()
		}
	case !n.leased():
		n.r.w.trace("%v: %s has lost its lease", now, n.r.id)
		n.follow(n.term, "")
	case now-n.sentAt >= simHeartbeat:
		n.sendAll()
	}
}

func (n *simRaft) leased() bool {
	heard := 1
	for _, at := range n.heardAt {
		if n.r.w.now-at <= simLease {
			heard++
		}
	}
	return n.majority(heard)
}

// send carries a message to another node's life of then, or loses it.
func (n *simRaft) send(to *simReplica, do func(*simRaft)) {
	w := n.r.w
	if !to.up || !w.open(&n.r.process, &to.process, raftNet) || (w.trouble && w.chance(0.01)) {
		return
	}
	d := w.between(100*time.Microsecond, 3*time.Millisecond)
	if w.trouble && w.chance(0.01) {
		d += w.between(0, 400*time.Millisecond)
	}
	to.later(d, func() { do(&to.raft) })
}

func (n *simRaft) others(do func(*simReplica)) {
	for _, o := range n.r.w.replicas {
		if o != n.r {
			do(o)
		}
	}
}

func (n *simRaft) last() (index int, term uint64) {
	if len(n.log) == 0 {
		return 0, 0
	}
	return len(n.log), n.log[len(n.log)-1].term
}

func (n *simRaft) campaign() {
	n.follow(n.term+1, "")
	n.role, n.voted, n.votes = raftCandidate, n.r.id, map[string]bool{n.r.id: true}
	n.wait()
	term, from := n.term, n.r
	index, lastTerm := n.last()
	n.others(func(o *simReplica) {
		n.send(o, func(o *simRaft) { o.asked(term, from, index, lastTerm) })
	})
	n.counted()
}

func (n *simRaft) asked(term uint64, from *simReplica, index int, lastTerm uint64) {
	if term > n.term {
		n.follow(term, "")
	}
	ownIndex, ownTerm := n.last()
	current := lastTerm > ownTerm || (lastTerm == ownTerm && index >= ownIndex)
	given := term == n.term && current && (n.voted == "" || n.voted == from.id)
	if given {
		n.voted = from.id
		n.wait()
	}
	own, id := n.term, n.r.id
	n.send(from, func(o *simRaft) {
		switch {
		case own > o.term:
			o.follow(own, "")
		case given && own == o.term && o.role == raftCandidate:
			o.votes[id] = true
			o.counted()
		}
	})
}

func (n *simRaft) counted() {
	if !n.majority(len(n.votes)) {
		return
	}
	n.r.w.trace("%v: %s is elected in term %d", n.r.w.now, n.r.id, n.term)
	n.role, n.leader = raftLeader, n.r.id
	n.next, n.match, n.heardAt = map[string]int{}, map[string]int{}, map[string]time.Duration{}
	n.others(func(o *simReplica) { n.next[o.id], n.heardAt[o.id] = len(n.log)+1, n.r.w.now })
	n.append(nil, func(error) {})
	n.barrier = len(n.log)
	n.r.learnRole()
}

// follow moves to a term, or steps back in it.
func (n *simRaft) follow(term uint64, leader string) {
	if term > n.term {
		n.term, n.voted = term, ""
	}
	n.role, n.leader = raftFollower, leader
	for _, f := range n.futures {
		f.answer(ErrNotLeader)
	}
	n.futures = nil
	n.wait()
	n.r.learnRole()
}

// append takes an entry where this node leads.
func (n *simRaft) append(data []byte, answer func(error)) {
	if n.role != raftLeader {
		answer(ErrNotLeader)
		return
	}
	n.log = append(n.log, simEntry{n.term, data})
	n.futures = append(n.futures, simFuture{len(n.log), n.term, answer})
	n.advance()
	n.sendAll()
}

func (n *simRaft) sendAll() {
	n.sentAt = n.r.w.now
	n.others(n.replicate)
}

func (n *simRaft) replicate(to *simReplica) {
	prev := n.next[to.id] - 1
	prevTerm := uint64(0)
	if prev > 0 {
		prevTerm = n.log[prev-1].term
	}
	term, from, entries, commit := n.term, n.r, slices.Clone(n.log[prev:]), n.commit
	n.send(to, func(o *simRaft) { o.appended(term, from, prev, prevTerm, entries, commit) })
}

// appended takes the leader's entries behind prev.
func (n *simRaft) appended(term uint64, from *simReplica, prev int, prevTerm uint64, entries []simEntry, commit int) {
	if term > n.term || (term == n.term && (n.role != raftFollower || n.leader != from.id)) {
		n.follow(term, from.id)
	}
	fits := term == n.term && prev <= len(n.log) && (prev == 0 || n.log[prev-1].term == prevTerm)
	has := min(prev-1, len(n.log)) // what the leader may try next
	if term == n.term {
		n.wait()
	}
	if fits {
		for i, e := range entries {
			if at := prev + i; at < len(n.log) && n.log[at].term != e.term {
				if at < n.commit {
					panic("sim: the model of Raft overwrites a committed entry")
				}
				n.r.w.holds.overwritten += len(n.log) - at
				n.log = slices.Clone(n.log[:at])
			}
			if prev+i == len(n.log) {
				n.log = append(n.log, e)
			}
		}
		has = prev + len(entries)
		if commit = min(commit, has); commit > n.commit {
			n.commit = commit
			n.r.pump()
		}
	}
	own, id := n.term, n.r.id
	n.send(from, func(o *simRaft) {
		switch {
		case own > o.term:
			o.follow(own, "")
		case own < o.term || o.role != raftLeader || term != o.term:
		case fits:
			o.heardAt[id] = o.r.w.now
			o.match[id] = max(o.match[id], has)
			o.next[id] = max(o.next[id], has+1)
			o.advance()
		default:
			o.heardAt[id] = o.r.w.now
			o.next[id] = max(min(o.next[id], has+1), 1)
			o.replicate(o.r.w.replica(id))
		}
	})
}

// advance commits what a majority has of this term.
func (n *simRaft) advance() {
	for at := len(n.log); at > n.commit && n.log[at-1].term == n.term; at-- {
		have := 1
		for _, m := range n.match {
			if m >= at {
				have++
			}
		}
		if n.majority(have) {
			n.commit = at
			n.r.w.holds.agreed(n.log[:at])
			n.r.pump()
			return
		}
	}
}

// applied answers the futures of an entry that the FSM has taken.
func (n *simRaft) applied(index int) {
	n.futures = slices.DeleteFunc(n.futures, func(f simFuture) bool {
		if f.index == index {
			f.answer(nil)
		}
		return f.index == index
	})
}

// transfer has a follower that is level stand for election at once.
func (n *simRaft) transfer(to *simReplica) {
	if n.role == raftLeader && n.match[to.id] == len(n.log) {
		n.r.w.trace("%v: %s hands over to %s", n.r.w.now, n.r.id, to.id)
		n.send(to, func(o *simRaft) { o.campaign() })
	}
}

// seen is the role as observeRole finds it.
func (n *simRaft) seen() role {
	now := role{term: n.term, leader: n.leader}
	if n.role == raftLeader {
		if now.leading = n.r.applied >= n.barrier; !now.leading {
			now.leader = ""
		}
	}
	return now
}

// agreed holds the model of Raft against its one promise.
func (v *invariants) agreed(log []simEntry) {
	for i := len(v.log); i < len(log); i++ {
		v.log = append(v.log, log[i])
	}
	for i, e := range log {
		if e.term != v.log[i].term || !bytes.Equal(e.data, v.log[i].data) {
			panic("sim: the model of Raft commits two logs")
		}
	}
}

func raftEntry(index int, e simEntry) *raft.Log {
	return &raft.Log{Index: uint64(index), Term: e.term, Data: e.data}
}
