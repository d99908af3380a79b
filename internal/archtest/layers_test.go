package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers is the table under "## Layers" in ARCHITECTURE.md.
type layers struct {
	row    map[string]int // package, by its path in the module: 0 is the top
	arrows map[string]bool
}

// TestLayers keeps the table true: a package imports only what stands below it,
// and along a row only what the line "row arrows:" names. Packages in folders
// below one of the table's belong to it. Those below internal are for tests.
func TestLayers(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLayers(string(text))
	if err != nil {
		t.Fatal(err)
	}
	imports, err := importsOf("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(imports) < len(l.row) {
		t.Errorf("found %d packages, the table has %d", len(imports), len(l.row))
	}
	for _, v := range l.violations(imports) {
		t.Error(v)
	}
}

// parseLayers reads the fenced block. Its last column, which begins where the
// first row's does, is for people.
func parseLayers(text string) (layers, error) {
	_, section, found := strings.Cut(text, "\n## Layers\n")
	parts := strings.SplitN(section, "\n```", 3)
	if !found || len(parts) < 3 {
		return layers{}, fmt.Errorf("ARCHITECTURE.md has no fenced table under ## Layers")
	}
	l := layers{row: map[string]int{}, arrows: map[string]bool{}}
	rows := strings.Split(strings.Trim(parts[1], "\n"), "\n")
	gaps := regexp.MustCompile(`   +`).FindAllStringIndex(rows[0], -1)
	if len(gaps) == 0 {
		return layers{}, fmt.Errorf("the first row %q has no last column", rows[0])
	}
	column := gaps[len(gaps)-1][1]
	for i, row := range rows {
		for _, name := range strings.Fields(row[:min(column, len(row))]) {
			if _, twice := l.row[name]; twice {
				return layers{}, fmt.Errorf("%s stands in the table twice", name)
			}
			l.row[name] = i
		}
	}
	below, _, _ := strings.Cut(parts[2], "\n## ")
	for line := range strings.Lines(below) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "row arrows:"); ok {
			for arrow := range strings.SplitSeq(list, ",") {
				l.arrows[strings.Join(strings.Fields(arrow), " ")] = true
			}
		}
	}
	return l, nil
}

// owner is the package of the table that pkg belongs to, or "". What the
// commands share, in cmd/internal, counts as one of them.
func (l layers) owner(pkg string) string {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, found := l.row[p]; found {
			return p
		}
	}
	return ""
}

// violations lists every import that the table does not allow, every package
// that it lacks, and whatever in it is not real.
func (l layers) violations(imports map[string][]string) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	used, owners := map[string]bool{}, map[string]bool{}
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		from := l.owner(pkg)
		owners[from] = true
		shared := strings.HasPrefix(pkg, "cmd/internal/")
		if strings.HasPrefix(pkg, "internal/") {
			continue
		}
		if from == "" && !shared {
			say("package %s is not in the table: give it a row", pkg)
			continue
		}
		for _, imported := range imports[pkg] {
			to := l.owner(imported)
			switch {
			case strings.HasPrefix(imported, "internal/"):
				say("%s imports %s, which is for tests", pkg, imported)
			case strings.HasPrefix(imported, "cmd/internal/"):
				if !strings.HasPrefix(pkg, "cmd/") {
					say("%s imports %s, which belongs to the commands", pkg, imported)
				}
			case to == "":
				say("%s imports %s, which is not in the table", pkg, imported)
			case to == from || l.row[from] < l.row[to]: // cmd/internal has from == "", and so the top row
			case l.row[from] > l.row[to]:
				say("%s imports %s, which stands above it", pkg, imported)
			default:
				arrow := from + " → " + to
				used[arrow] = true
				if !l.arrows[arrow] {
					say("%s imports %s along a row: point down, or name the arrow %q", pkg, imported, arrow)
				}
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(l.row)) {
		if !owners[pkg] {
			say("the table has %s, which does not exist", pkg)
		}
	}
	for _, arrow := range slices.Sorted(maps.Keys(l.arrows)) {
		if !used[arrow] {
			say("the row arrow %q has no import: strike it out", arrow)
		}
	}
	return found
}

// importsOf lists for each package under root which of the module's packages
// its files import, tests left out, for all operating systems and build tags.
func importsOf(root string) (map[string][]string, error) {
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, file, d.Name())
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if imports[pkg] == nil {
			imports[pkg] = []string{}
		}
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if inside, ok := strings.CutPrefix(name, "convoy/"); ok && !slices.Contains(imports[pkg], inside) {
				imports[pkg] = append(imports[pkg], inside)
			}
		}
		return nil
	})
	return imports, err
}

// skip leaves out folders that are not the module's packages.
func skip(root, folder, name string) error {
	if folder == root {
		return nil
	}
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	if err == nil || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	return nil
}

// A table of its own shows that each kind of violation is seen.
func TestViolationsAreSeen(t *testing.T) {
	l, err := parseLayers("# A\n\n## Layers\n\nText.\n\n```\ncmd/a   b     runs things\nc             c: d of b\nd   e\n```\n\nrow arrows: d →  e, a → b\n\n## More\n\nrow arrows: x → y\n")
	if err != nil {
		t.Fatal(err)
	}
	got := l.violations(map[string][]string{
		"cmd/a": {"b", "cmd/internal/x", "c"}, "cmd/internal/x": {"c"}, "b": {"b/sub", "internal/test"}, "b/sub": {"e"},
		"c": {"b/sub", "cmd/internal/x", "f"}, "d": {"e"}, "g": {}, "internal/test": {"cmd/a"},
	})
	want := []string{
		"b imports internal/test, which is for tests",
		"c imports b/sub, which stands above it",
		"c imports cmd/internal/x, which belongs to the commands",
		"c imports f, which is not in the table",
		`cmd/a imports b along a row: point down, or name the arrow "cmd/a → b"`,
		"package g is not in the table: give it a row",
		"the table has e, which does not exist",
		`the row arrow "a → b" has no import: strike it out`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := parseLayers("# A\n"); err == nil {
		t.Error("a file without a table is accepted")
	}
}
