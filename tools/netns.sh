#!/bin/bash
# Shows that a cut link changes no bit: three coordinators and two workers, each
# in a network namespace of its own behind a bridge, train a job; on the way the
# leader's link is taken down and up again, then a worker's, then the next leader's.
# Compares the digest with that of a run in one process. Called by `make faults` from the root of the checkout, once
# bin/coordinator and bin/worker are built; needs root and iproute2.
set -euo pipefail

PATIENCE=${PATIENCE:-120} # seconds for what must happen next
net=10.199.0
tag=cv$$
work=$(mktemp -d)
pids=()

say() { echo "netns: $*"; }
die() {
	say "FAILED: $*" >&2
	tail -n 5 "$work"/*.log >&2 || true
	exit 1
}

finish() {
	local code=$?
	trap - EXIT
	[ "${#pids[@]}" -eq 0 ] || kill -9 "${pids[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	for node in hub nats r1 r2 r3 w1 w2; do
		ip netns del "$tag$node" 2>/dev/null || true
	done
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# hub makes the bridge, in a namespace too: there no rule of this machine's
# firewall looks at what crosses it.
hub() {
	ip netns add "${tag}hub"
	ip -n "${tag}hub" link set lo up
	ip -n "${tag}hub" link add bridge type bridge
	ip -n "${tag}hub" address add "$net.1/24" dev bridge
	ip -n "${tag}hub" link set bridge up
}

# node NAME NUMBER makes a namespace whose only link leads to the bridge.
node() {
	ip netns add "$tag$1"
	ip -n "${tag}hub" link add "$1" type veth peer name eth0 netns "$tag$1"
	ip -n "${tag}hub" link set "$1" master bridge up
	ip -n "$tag$1" address add "$net.$2/24" dev eth0
	ip -n "$tag$1" link set lo up
	ip -n "$tag$1" link set eth0 up
}

# inside NAME COMMAND... runs a program in a namespace, in the background.
inside() {
	local name=$1
	shift
	ip netns exec "$tag$name" "$@" >>"$work/$name.log" 2>&1 &
	pids+=($!)
}

# await WHAT COMMAND... repeats the command until it succeeds.
await() {
	local what=$1 end=$((SECONDS + PATIENCE))
	shift
	until "$@" 2>"$work/error"; do
		[ "$SECONDS" -lt "$end" ] || die "no $what within $PATIENCE s: $(cat "$work/error")"
		sleep 0.1
	done
}

field() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"; }

coordinator() { ip netns exec "${tag}hub" bin/coordinator "$@"; }
cluster() { coordinator cluster status --output json >"$work/cluster"; }
status() { coordinator job status "$job" --output json >"$work/status"; }
leader() { cluster && field leader <"$work/cluster"; }

ready() {
	cluster && [ -n "$(field leader <"$work/cluster")" ] &&
		[ "$(grep -c '"reachable": true' "$work/cluster")" -eq 3 ] &&
		[ "$(grep -c '"nats": true' "$work/cluster")" -eq 3 ] &&
		[ "$(grep -c '"threads":' "$work/cluster")" -eq 2 ]
}

# past STEP succeeds once the job has done that step.
past() {
	status || return 1
	case $(field phase <"$work/status") in
	finished) return 0 ;;
	failed | cancelled) die "the job ended: $(cat "$work/status")" ;;
	esac
	[ "$(field step <"$work/status")" -ge "$1" ]
}
finished() { status && past 1000000000; }

step() { field step <"$work/status"; }

# running WHAT fails once the job has ended: then WHAT has shown nothing.
running() {
	status || die "no status"
	[ "$(field phase <"$work/status")" = running ] || die "the job ended before $1: raise EPOCHS"
}

# cut NAME takes a node's link down until the job has gone on without it.
cut() {
	running "the link of $1 was cut"
	local at
	at=$(step)
	ip -n "${tag}hub" link set "$1" down
	say "cut the link of $1 at step $at"
	await "progress without $1" past $((at + 5))
	running "the link of $1 was mended"
	ip -n "${tag}hub" link set "$1" up
	say "mended it at step $(step)"
	await "cluster that is whole again" ready
}

[ "$(id -u)" -eq 0 ] || die "only root can make network namespaces"
hub
number=10
for name in nats r1 r2 r3 w1 w2; do
	node "$name" $((number++))
done
peers=r1=$net.11:7070/$net.11:7071,r2=$net.12:7070/$net.12:7071,r3=$net.13:7070/$net.13:7071
export CONVOY_ADDR=$net.11:7070,$net.12:7070,$net.13:7070

inside nats bin/coordinator nats --listen "$net.10:4222"
for i in 1 2 3; do
	inside "r$i" bin/coordinator serve --id "r$i" --data "$work/r$i" --peers "$peers" --nats "nats://$net.10:4222" \
		--listen "$net.1$i:7070" --raft-listen "$net.1$i:7071"
done
for i in 1 2; do
	inside "w$i" bin/worker --id "w$i" --addr "$CONVOY_ADDR" --nats "nats://$net.10:4222" --cache "$work/w$i" --threads 1
done
await "complete cluster" ready

printf 'name: netns\nmodel: lenet-relu\ndata: digits\nepochs: %d\n' "${EPOCHS:-3}" >"$work/job.yaml"
job=$(coordinator job submit "$work/job.yaml" 2>/dev/null)
await "first steps" past 20
cut "$(leader)"
cut w1
cut "$(leader)"
await "end of the job" finished
there=$(field digest <"$work/status")
steps=$(field steps <"$work/status")
coordinator job ledger "$job" --output json >"$work/ledger"
[ "$(wc -l <"$work/ledger")" -eq "$steps" ] || die "the ledger has $(wc -l <"$work/ledger") rows, want $steps"

say "training the same in one process"
coordinator train --job "$work/job.yaml" --out "$work/run" --no-progress --output json >"$work/train"
here=$(field digest <"$work/train")
[ -n "$here" ] && [ "$here" = "$there" ] || die "digest $there in the cluster, $here in one process"
say "passed: digest $here after $steps steps, each once in the ledger"
