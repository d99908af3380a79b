package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"

	"convoy/bus/embedded"
	"convoy/coordinator"
	"convoy/ps"
)

// member is a coordinator of a cluster that grows, in this process.
type member struct {
	*coordinator.Server
	stop context.CancelFunc
	err  chan error
}

// begin starts a coordinator.
func begin(t *testing.T, cfg coordinator.Config, listeners [2]net.Listener) *member {
	t.Helper()
	cfg.Listener, cfg.RaftListener = listeners[0], listeners[1]
	s, err := coordinator.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{s, stop, make(chan error, 1)}
	go func() { m.err <- s.Run(ctx) }()
	return m
}

func pair(l [2]net.Listener) string { return l[0].Addr().String() + "/" + l[1].Addr().String() }

func listeners(t *testing.T) (l [2]net.Listener) {
	t.Helper()
	for i := range l {
		var err error
		if l[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestMembersOnTheCommandLine grows a cluster from one coordinator to two, hands
// leadership over, and shrinks it again, as an operator does.
func TestMembersOnTheCommandLine(t *testing.T) {
	one := begin(t, coordinator.Config{ID: "a", Dir: t.TempDir(), Embedded: &embedded.Options{}}, listeners(t))
	defer func() {
		one.stop()
		if err := <-one.err; err != nil {
			t.Error(err)
		}
	}()
	say := func(address, want, command string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), append(strings.Fields(command), "--addr", address), &stdout, &stderr)
		said := stdout.String()
		if err != nil {
			said = err.Error()
		}
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%s says %q, want %s", command, said, want)
		}
	}
	a, later := one.Addr(), listeners(t)
	add := "cluster add b=" + pair(later)
	say(a, "^coordinator a is the only one that votes, and the cluster's state would go with it: add another", "cluster remove a")
	say(a, "^there is no other coordinator that votes: add one first$", "cluster transfer-leader")
	say(a, "^coordinator b joins cluster convoy: start it with --join", add)
	say(a, "^coordinator b joins cluster convoy: start it with --join", add)
	say(a, `"stage": "joining"`, add+" -o json")
	say(a, "^coordinator a is a member at .*: remove that one first", "cluster add a="+pair(later))
	say(a, "^coordinator b has one of the addresses", "cluster add c="+pair(later))
	say(a, `"b": want id=grpc-host:port/raft-host:port`, "cluster add b")
	say(a, `"0.0.0.0:7070" is no address that others can reach`, "cluster add c=0.0.0.0:7070/h:1")
	say(a, "^coordinator b does not vote yet", "cluster transfer-leader b")
	b := coordinator.Config{ID: "b", Dir: t.TempDir(), Join: []string{a}, NATS: []string{one.NATSURL()}}
	two := begin(t, b, later)
	say(a, "^coordinator b votes in cluster convoy: two vote, and the loss of either", add+" --wait")
	say(two.Addr(), "(?s)leader a.*\na .* voter .*\nb .* voter ", "cluster status")
	say(two.Addr(), "^coordinator b leads cluster convoy in term", "cluster transfer-leader b")
	say(a, "^coordinator a leads cluster convoy in term", "cluster transfer-leader")
	say(a, "^there is no coordinator \"c\" in cluster convoy", "cluster remove c")
	say(a, "^there is no coordinator \"c\" in this cluster", "cluster transfer-leader c")
	say(a, "^coordinator b is no member of cluster convoy any more: one votes", "cluster remove b")
	if err := <-two.err; !errors.Is(err, ps.ErrRemoved) {
		t.Errorf("the coordinator that was removed ended with %v", err)
	}
	b.Join = nil // started again as if nothing had been
	if err := <-begin(t, b, listeners(t)).err; !errors.Is(err, ps.ErrRemoved) {
		t.Errorf("the coordinator that was removed, started again, ended with %v", err)
	}
}
