package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestMain is also the program that dies: it passes two points, one of them
// three times.
func TestMain(m *testing.M) {
	value, child := os.LookupEnv(Variable)
	if !child {
		os.Exit(m.Run())
	}
	if err := Arm(value); err != nil {
		os.Exit(2)
	}
	for range 3 {
		Pass(BeforeRename)
		_, _ = os.Stdout.WriteString("passed ")
	}
	Pass(AfterRename)
	_, _ = os.Stdout.WriteString("end")
}

func TestPass(t *testing.T) {
	for value, want := range map[string]string{
		"":                "passed passed passed end",
		"before-rename":   "",
		"before-rename:3": "passed passed ",
		"before-rename:4": "passed passed passed end",
		"after-rename":    "passed passed passed ",
		"before-write":    "passed passed passed end",
	} {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), Variable+"="+value)
		out, err := c.Output()
		if string(out) != want {
			t.Errorf("%q: it came to %q, want %q", value, out, want)
		}
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if killed == strings.HasSuffix(want, "end") {
			t.Errorf("%q: it ended with %v", value, err)
		}
	}
}

func TestArmRefuses(t *testing.T) {
	defer func() { armed.Store(nil) }()
	for _, value := range []string{"nowhere", "before-rename:", "before-rename:0", "before-rename:-1", "before-rename:x", ":1"} {
		if err := Arm(value); err == nil || !strings.Contains(err.Error(), "before-write") {
			t.Errorf("%q: error %v, want one that lists the points", value, err)
		}
	}
}

func BenchmarkPass(b *testing.B) {
	for b.Loop() {
		Pass(BeforeRename)
	}
}
