// Package report is what the programs that measure have in common: they run others
// on a machine that is quiet (call.go, load.go), keep raw figures with their origin
// (raw.go), and write them as tables into a document (document.go).
package report

import (
	"fmt"
	"slices"
	"strings"
)

// Replace puts content between the comments that begin and end a part.
func Replace(text, part, content string) (string, error) {
	begin, end := "<!-- begin "+part+" -->\n", "<!-- end "+part+" -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("the comments %q and %q are missing", strings.TrimSpace(begin), end)
	}
	return before + begin + content + end + after, nil
}

// A Table is Markdown's.
type Table struct {
	Head []string
	rows [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// String is the table, or says that nothing was measured.
func (t *Table) String() string {
	if len(t.rows) == 0 {
		return "Not measured yet.\n"
	}
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.Head)
	line(slices.Repeat([]string{"---"}, len(t.Head)))
	for _, r := range t.rows {
		line(r)
	}
	return b.String()
}

// Origins is a table of where figures come from.
func Origins() *Table {
	return &Table{Head: []string{"figures", "measured (UTC)", "Convoy", "processor", "system", "Go", "PyTorch", "cores used by others"}}
}

// Sort orders the rows by their first cell.
func (t *Table) Sort() {
	slices.SortFunc(t.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
}

// From adds a raw file's origin.
func (t *Table) From(what string, o Origin, others []float64) {
	t.Add(what, o.Date, o.Revision, fmt.Sprintf("%s, %d CPUs", o.CPU, o.CPUs), o.OS, o.Go, o.Torch, Number(Median(others), 3))
}

// Each is f of every element.
func Each[T any](list []T, f func(T) float64) []float64 {
	values := make([]float64, len(list))
	for i, v := range list {
		values[i] = f(v)
	}
	return values
}

// Ratios are those of the alternations, one by one.
func Ratios(ours, theirs []float64) []float64 {
	n := min(len(ours), len(theirs))
	r := make([]float64, n)
	for i := range r {
		r[i] = ours[i] / theirs[i]
	}
	return r
}

// Median is the middle of v, 0 of nothing.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Spread is the median with the least and the greatest.
func Spread(v []float64, digits int) string {
	if len(v) == 0 {
		return "–"
	}
	f := func(x float64) string { return Number(x, digits) }
	return fmt.Sprintf("%s (%s–%s)", f(Median(v)), f(slices.Min(v)), f(slices.Max(v)))
}

// Number writes x with so many digits, without an exponent.
func Number(x float64, digits int) string {
	for limit := 1.0; digits > 0 && x >= limit; limit *= 10 {
		digits--
	}
	if x < 1 {
		digits--
	}
	return fmt.Sprintf("%.*f", max(digits, 0), x)
}
