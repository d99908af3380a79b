package coordinator

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// NewLogger returns a logger to stderr. Format is "console", "json", or "auto"
// (also ""), which is console on a terminal and JSON otherwise; level is
// "debug", "info" (also ""), "warn" or "error".
func NewLogger(format, level string) (*zap.Logger, error) {
	return newLogger(zapcore.Lock(os.Stderr), term.IsTerminal(int(os.Stderr.Fd())), format, level)
}

func newLogger(to zapcore.WriteSyncer, terminal bool, format, level string) (*zap.Logger, error) {
	at := zapcore.InfoLevel
	switch level {
	case "", "info":
	case "debug":
		at = zapcore.DebugLevel
	case "warn":
		at = zapcore.WarnLevel
	case "error":
		at = zapcore.ErrorLevel
	default:
		return nil, fmt.Errorf("log level %q is unknown: use debug, info, warn or error", level)
	}
	var encoder zapcore.Encoder
	switch {
	case format == "console", (format == "auto" || format == "") && terminal:
		c := zap.NewDevelopmentEncoderConfig()
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.CallerKey, c.StacktraceKey = "", ""
		encoder = zapcore.NewConsoleEncoder(c)
	case format == "json", format == "auto", format == "":
		c := zap.NewProductionEncoderConfig()
		c.EncodeTime = zapcore.TimeEncoderOfLayout(time.RFC3339Nano)
		c.TimeKey, c.CallerKey, c.StacktraceKey = "time", "", ""
		encoder = zapcore.NewJSONEncoder(c)
	default:
		return nil, fmt.Errorf("log format %q is unknown: use auto, console or json", format)
	}
	return zap.New(zapcore.NewCore(encoder, to, at)), nil
}
