package ps

import (
	"fmt"
	"io"
	"log"
	"slices"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// hcLog lets Raft, which logs through hclog, write into a zap logger.
type hcLog struct {
	hclog.Logger // what is not defined below goes nowhere
	zap          *zap.SugaredLogger
	name         string
	with         []any
}

func newHCLog(z *zap.Logger) *hcLog {
	return &hcLog{Logger: hclog.NewNullLogger(), zap: z.WithOptions(zap.AddCallerSkip(1)).Sugar()}
}

func (l *hcLog) Log(level hclog.Level, msg string, args ...any) {
	switch level {
	case hclog.Error:
		l.Error(msg, args...)
	case hclog.Warn:
		l.Warn(msg, args...)
	case hclog.Info:
		l.Info(msg, args...)
	default:
		l.Debug(msg, args...)
	}
}

func (l *hcLog) Trace(string, ...any)          {}
func (l *hcLog) Debug(msg string, args ...any) { l.zap.Debugw(msg, plain(args)...) }

// Info of a library is detail to us: elections and roles are told by the jobs'
// own logs.
func (l *hcLog) Info(msg string, args ...any)  { l.zap.Debugw(msg, plain(args)...) }
func (l *hcLog) Warn(msg string, args ...any)  { l.zap.Warnw(msg, plain(args)...) }
func (l *hcLog) Error(msg string, args ...any) { l.zap.Errorw(msg, plain(args)...) }

// plain writes out hclog's deferred formats.
func plain(args []any) []any {
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args = slices.Clone(args)
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	return args
}

func (l *hcLog) IsTrace() bool { return false }
func (l *hcLog) IsDebug() bool { return l.zap.Desugar().Core().Enabled(zapcore.DebugLevel) }
func (l *hcLog) IsInfo() bool  { return l.IsDebug() }
func (l *hcLog) IsWarn() bool  { return true }
func (l *hcLog) IsError() bool { return true }

func (l *hcLog) ImpliedArgs() []any { return l.with }
func (l *hcLog) Name() string       { return l.name }

func (l *hcLog) With(args ...any) hclog.Logger {
	return &hcLog{Logger: l.Logger, zap: l.zap.With(args...), name: l.name, with: append(l.with[:len(l.with):len(l.with)], args...)}
}

func (l *hcLog) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

func (l *hcLog) ResetNamed(name string) hclog.Logger {
	return &hcLog{Logger: l.Logger, zap: l.zap.Named(name), name: name, with: l.with}
}

func (l *hcLog) SetLevel(hclog.Level)  {}
func (l *hcLog) GetLevel() hclog.Level { return hclog.Debug }
func (l *hcLog) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(nil), "", 0)
}

func (l *hcLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return zapWriter{l.zap} }

type zapWriter struct{ zap *zap.SugaredLogger }

func (w zapWriter) Write(b []byte) (int, error) {
	w.zap.Debug(string(b))
	return len(b), nil
}
