package report

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// quiet is how many cores other processes may use while something is measured,
// and patience how often it is measured until they do not use more.
const (
	quiet    = 0.15
	patience = 5
)

// busy is the time that the first cpus have not been idle since the machine was
// started, time stolen by a hypervisor included; ok is false where the system does
// not tell.
func busy(cpus int) (sum time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return parseBusy(string(b), cpus)
}

func parseBusy(text string, cpus int) (sum time.Duration, ok bool) {
	const tick = 10 * time.Millisecond // what Linux shows to programs, on every architecture of ours
	for line := range strings.Lines(text) {
		var cpu int
		var user, nice, system, idle, wait, irq, softirq, steal int64
		n, err := fmt.Sscanf(line, "cpu%d %d %d %d %d %d %d %d %d", &cpu, &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal)
		if n == 9 && err == nil && cpu < cpus {
			sum += time.Duration(user+nice+system+irq+softirq+steal) * tick
			ok = true
		}
	}
	return sum, ok
}

// A watch tells how many cores others used while a program ran.
type watch struct {
	cpus  int
	begin time.Time
	busy  time.Duration
}

func startWatch(cpus int) watch {
	b, _ := busy(cpus)
	return watch{cpus, time.Now(), b}
}

// others is how many cores others used, own being the program's own time.
func (w watch) others(own time.Duration) float64 {
	b, ok := busy(w.cpus)
	if !ok {
		return 0
	}
	return max(0, (b-w.busy-own).Seconds()/time.Since(w.begin).Seconds())
}

// awaitQuiet waits until others leave the first cpus alone for a second, but not
// for long.
func awaitQuiet(cpus int) {
	for i := 0; i < 30 && cpus > 0; i++ {
		w := startWatch(cpus)
		time.Sleep(time.Second)
		if w.others(0) <= quiet {
			return
		}
	}
}
