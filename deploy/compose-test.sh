#!/bin/bash
# Shows on a compose cluster that one job has one hash: trains lenet-relu on
# digits with three coordinators and four workers; on the way kills a worker, a
# follower, the leader and NATS, and starts each again; compares the digest and
# the model file with those of a run in one process. Called by `make
# compose-test` from the root of the checkout, once the images and
# bin/coordinator are built.
#
#   COMPOSE          the command, such as "docker compose"
#   CONVOY_PORT_1    host ports of the coordinators, to _3; any free ones unless given
#   EPOCHS           2 unless given
set -euo pipefail

COMPOSE=${COMPOSE:-docker-compose}
EPOCHS=${EPOCHS:-2}
PATIENCE=${PATIENCE:-180} # seconds for what must happen next
project=convoytest$$
work=$(mktemp -d)
started=

say() { echo "compose-test: $*"; }
die() {
	say "FAILED: $*" >&2
	exit 1
}

compose() { $COMPOSE --project-name "$project" --file deploy/compose.yml "$@"; }

finish() {
	local code=$?
	trap - EXIT
	if [ -n "$started" ]; then
		if [ "$code" -ne 0 ]; then
			compose ps || true
			compose logs --no-color --tail=100 || true
		fi
		compose down --volumes --timeout 5 >/dev/null 2>&1 || say "could not take project $project down" >&2
	fi
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# free_port prints a port below the ephemeral range that nobody listens on.
free_port() {
	local port
	while true; do
		port=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
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

# field NAME prints a top-level value of the indented JSON on stdin.
field() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"; }

coordinator() { bin/coordinator "$@"; }
status() { coordinator job status "$job" --output json; }
container() { compose ps --quiet "$1"; }

# ready succeeds once somebody leads, three coordinators are well and four
# workers have said hello.
ready() {
	coordinator cluster status --output json >"$work/cluster" &&
		[ -n "$(field leader <"$work/cluster")" ] &&
		[ "$(grep -c '"reachable": true' "$work/cluster")" -eq 3 ] &&
		[ "$(grep -c '"nats": true' "$work/cluster")" -eq 3 ] &&
		[ "$(grep -c '"threads":' "$work/cluster")" -ge 4 ]
}

healthy() {
	local id
	for id in $(container c1) $(container c2) $(container c3); do
		[ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
	done
}

# past STEP succeeds once the job has done that step.
past() {
	status >"$work/status" || return 1
	case $(field phase <"$work/status") in
	finished) return 0 ;;
	failed | cancelled) die "the job ended: $(cat "$work/status")" ;;
	esac
	[ "$(field step <"$work/status")" -ge "$1" ]
}

finished() { past 1000000000; }

# kill_at PERCENT WHAT CONTAINER-FUNCTION kills what the function names at that
# point of the run.
kill_at() {
	local percent=$1 what=$2 choose=$3 at id
	await "step at $percent %" past $((steps * percent / 100))
	id=$($choose)
	[ -n "$id" ] || die "no container for the $what"
	status >"$work/status" || die "no status before the kill"
	at=$(field step <"$work/status")
	[ "$(field phase <"$work/status")" = running ] || die "the job ended before the $what could be killed: raise EPOCHS"
	date -u +%s%N >>"$work/kills"
	docker kill "$id" >/dev/null
	say "killed the $what ($(docker inspect --format '{{.Name}}' "$id")) at step $at of $steps"
	if [ "$what" = NATS ]; then
		sleep 2 # nothing can be computed meanwhile
	else
		await "progress without the $what" past $((at + 5))
	fi
	docker start "$id" >/dev/null
	await "progress after the $what was started again" past $((at + 10))
	await "cluster that is whole again" ready
}

a_worker() { # one that has a share of the work: its name is its container's id and process
	local id
	coordinator cluster status --output json | tr -d ' \n' | grep -o '{"id":"[^}]*"high":[1-9][^}]*}' |
		sed 's/{"id":"\([0-9a-f]*\)-.*/\1/' >"$work/busy"
	for id in $(container worker); do
		if grep -q "^${id:0:12}" "$work/busy"; then
			echo "$id"
			return
		fi
	done
}
leader() { container "$(coordinator cluster status --output json | field leader)"; }
follower() {
	local leads
	leads=$(coordinator cluster status --output json | field leader)
	for r in c1 c2 c3; do
		if [ "$r" != "$leads" ]; then
			container "$r"
			return
		fi
	done
}
nats() { container nats; }

for i in 1 2 3; do
	port=CONVOY_PORT_$i
	export "$port=${!port:-$(free_port)}"
done
export CONVOY_ADDR=127.0.0.1:$CONVOY_PORT_1,127.0.0.1:$CONVOY_PORT_2,127.0.0.1:$CONVOY_PORT_3
cat >"$work/job.yaml" <<JOB
name: compose-test
model: lenet-relu
data: digits
epochs: $EPOCHS
JOB

say "starting project $project with $($COMPOSE version 2>/dev/null | head -n 1)"
started=yes
compose up --detach --scale worker=4 >"$work/up" 2>&1 || die "$(cat "$work/up")"
await "healthy coordinators" healthy
await "complete cluster" ready

job=$(coordinator job submit "$work/job.yaml" 2>/dev/null)
steps=$(status | field steps)
say "submitted $job, $steps steps"
kill_at 10 worker a_worker
kill_at 30 follower follower
kill_at 50 leader leader
kill_at 70 NATS nats
PATIENCE=600 await "end of the job" finished
status >"$work/status"
say "$(field phase <"$work/status") with test accuracy $(field test_accuracy <"$work/status")"

# The ledger has every step once, and rows on both sides of each kill.
coordinator job ledger "$job" --output json >"$work/ledger"
[ "$(wc -l <"$work/ledger")" -eq "$steps" ] || die "the ledger has $(wc -l <"$work/ledger") rows, want $steps"
sed 's/.*"time":"\([^"]*\)".*/\1/' "$work/ledger" | date -u -f - +%s%N >"$work/times"
while read -r kill; do
	before=$(awk -v k="$kill" '$1 < k' "$work/times" | wc -l)
	[ "$before" -gt 0 ] && [ "$before" -lt "$steps" ] || die "a kill fell outside of the run: $before of $steps rows before it"
	say "a kill fell between row $before and row $((before + 1)) of $steps"
done <"$work/kills"
[ "$(wc -l <"$work/kills")" -eq 4 ] || die "$(wc -l <"$work/kills") kills, want 4"
coordinator job model "$job" --out "$work/cluster.safetensors" >/dev/null

compose stop --timeout 5 >/dev/null 2>&1 || die "the cluster does not stop"
say "training the same in one process"
coordinator train --job "$work/job.yaml" --out "$work/run" --no-progress --output json >"$work/train"
here=$(field digest <"$work/train") there=$(field digest <"$work/status")
[ -n "$here" ] && [ "$here" = "$there" ] || die "digest $there in the cluster, $here in one process"
cmp "$work/cluster.safetensors" "$(field model_file <"$work/train")" || die "the model files differ"
say "passed: digest $here and the model file are the same"
