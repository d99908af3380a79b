package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Origin says where and when a raw file's figures come from.
type Origin struct {
	Date     string `json:"date"`     // UTC
	Revision string `json:"revision"` // of Convoy
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	OS       string `json:"os"`
	Go       string `json:"go"`
	Torch    string `json:"torch"` // Debian's package
	Command  string `json:"command"`
}

// NewOrigin is that of what is measured now, by a command.
func NewOrigin(command string) Origin {
	return Origin{
		Date: time.Now().UTC().Format("2006-01-02 15:04"), Revision: revision(),
		CPU: cpu(), CPUs: runtime.NumCPU(), OS: output("uname", "-sr"), Go: runtime.Version(),
		Torch:   output("dpkg-query", "--show", "--showformat", "${Version}", "python3-torch"),
		Command: command,
	}
}

// output is the first line that a command prints, or "unknown".
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}

func revision() string {
	return output("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
}

// cpu names the processor: virtual machines give several kinds one name, so
// family and model stand behind it.
func cpu() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `\s*:\s*(.*)$`).FindSubmatch(b)
		if m == nil {
			return "unknown"
		}
		return string(m[1])
	}
	if err != nil || value("model name") == "unknown" {
		return "unknown, " + runtime.GOARCH
	}
	return fmt.Sprintf("%s, family %s, model %s", value("model name"), value("cpu family"), value("model"))
}

// WriteRaw writes a raw file.
func WriteRaw(path string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// ReadRaw reads a raw file; there may be none.
func ReadRaw(path string, v any) (found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

// Lines reads JSON lines.
func Lines[T any](text string) ([]T, error) {
	var list []T
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		var v T
		if err := json.Unmarshal(scan.Bytes(), &v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
