package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"convoy/bus/embedded"
	"convoy/coordinator"
)

// served starts a coordinator without workers and returns its address.
func served(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := coordinator.Open(coordinator.Config{Dir: t.TempDir(), Listener: l, Embedded: &embedded.Options{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.Addr()
}

// TestDecisionsOnTheCommandLine pauses, resumes and cancels a job as a user does.
func TestDecisionsOnTheCommandLine(t *testing.T) {
	address := served(t)
	file := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(file, []byte("name: mine\nmodel: lenet-relu\ndata: digits\nepochs: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	type line struct{ args, want string }
	say := func(want *regexp.Regexp, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), append(args, "--addr", address), &stdout, &stderr)
		said := stdout.String()
		if err != nil {
			said = err.Error()
		}
		if !want.MatchString(said) {
			t.Errorf("%s says %q, want %s", strings.Join(args, " "), said, want)
		}
		return said
	}
	var submitted struct{ Job string }
	if err := json.Unmarshal([]byte(say(regexp.MustCompile(`"job"`), "job", "submit", file, "-o", "json")), &submitted); err != nil {
		t.Fatal(err)
	}
	id := submitted.Job
	for _, l := range []line{
		{"pause ID", `^job ID is paused at step 0 of \d+\n$`},
		{"pause ID", `^job ID is paused at step 0 of \d+\n$`},
		{"status ID", "(?s)phase +paused.*`coordinator job resume ID` lets it go on"},
		{"pause ID -o json", `(?s)"phase": "paused",.*"step": 0`},
		{"resume ID", `^job ID is (queued|running) at step 0 of \d+`},
		{"resume ID -o json", `"phase": "(queued|running)"`},
		{"cancel ID", `^job ID is cancelled at step 0 of \d+\n$`},
		{"pause ID", `^job ID has ended and cannot be paused: submit it again to train once more$`},
		{"resume ID", `^job ID has ended and cannot be resumed: submit it again to train once more$`},
		{"pause nobody", "^there is no job \"nobody\": `job list` shows the jobs$"},
		{"pause", `^0 arguments: want one, the id that submit printed`},
	} {
		named := func(s string) string { return strings.ReplaceAll(s, "ID", id) }
		say(regexp.MustCompile(named(l.want)), append([]string{"job"}, strings.Fields(named(l.args))...)...)
	}
}
