// Package cli owns what the two programs' command lines have in common: exit
// codes, signals, flags that environment variables may set, and the version.
//
// A program promises exit code 0 when it did what it was asked, 2 when the
// command line or an input is wrong, 130 when it was interrupted, and 1 for
// everything else; errors go to stderr as one sentence that ends with what to
// do.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"convoy/client"
	"convoy/job"
)

// The exit codes.
const (
	ok          = 0
	failed      = 1
	badInput    = 2
	interrupted = 130
)

// usageError says that the command line or an input is wrong.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Usage marks err, if it is one, as the fault of the command line or an input.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Usagef is Usage of a formatted error.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// interruption is an interrupt with what it means for the user.
type interruption struct{ text string }

func (e interruption) Error() string { return e.text }

// Interruptedf says what an interrupt left behind and how to go on.
func Interruptedf(format string, args ...any) error {
	return interruption{fmt.Sprintf(format, args...)}
}

// Signals returns a context that the first interrupt or termination ends. The
// second one ends the process.
func Signals() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Execute runs the command that args name and returns its error.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) error {
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !started { // flags or arguments, which cobra checked
		return Usagef("%w; see `%s --help`", err, command.CommandPath())
	}
	return err
}

// Exit tells err on stderr and returns the exit code that it stands for.
func Exit(program string, stderr io.Writer, err error) int {
	if err == nil {
		return ok
	}
	code := failed
	var usage usageError
	var stopped interruption
	switch {
	case errors.As(err, &usage) || client.BadInput(err):
		code = badInput
	case errors.As(err, &stopped):
		code = interrupted
	case errors.Is(err, context.Canceled):
		code, err = interrupted, errors.New("interrupted")
	}
	// Where even stderr is gone there is nobody left to tell.
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", program, err)
	return code
}

// Group makes a command that only holds others.
func Group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	// cobra itself takes an unknown command of a group for an argument.
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		did := ""
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			did = fmt.Sprintf(" (did you mean %q?)", near[0])
		}
		return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), did)
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(commands...)
	return c
}

// Environment is the variable that sets a flag: CONVOY_RAFT_LISTEN for
// --raft-listen.
func Environment(flag string) string {
	return "CONVOY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FromEnvironment sets the flags that the command line left out from their
// environment variables. An empty variable counts as none.
func FromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		value, found := os.LookupEnv(Environment(f.Name))
		if !found || value == "" || f.Changed || f.Name == "help" || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = Usagef("%s: %w", Environment(f.Name), e)
		}
	})
	return err
}

// Version makes the command that tells which release this is.
func Version(program string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the release and its arithmetic version",
		Long:    "Prints the release, the Go release it was built with and the arithmetic version.\nProcesses of one cluster must have one arithmetic version: it is what a model's bits depend on.",
		Example: "  " + program + " version",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s %s, arithmetic version %d, %s %s/%s\n",
				program, release(), job.ArithmeticVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// release is the module's version or, where it was built from a checkout, the
// revision.
func release() string {
	info, found := debug.ReadBuildInfo()
	if !found {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "development build"
}
