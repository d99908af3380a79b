package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cosmetic are the folders whose results enter no model: they may use all of
// math. What is not listed may not.
var cosmetic = map[string]bool{
	"cmd": true, "bench": true, "client": true, "coordinator": true, "local": true, "chaos": true, "api": true, "tools": true, ".git": true,
	"data/internal/glyphgen": true, // draws the glyphs that are committed
}

// inexact are the functions of math whose bits differ between machines, or may
// from one release of Go to the next; math.FMA is exact and a hundred times
// slower where the machine has none.
var inexact = func() map[string]bool {
	names := `Acos Acosh Asin Asinh Atan Atan2 Atanh Cbrt Cos Cosh Erf Erfc Erfcinv Erfinv Exp Exp2 Expm1 FMA
		Gamma Hypot J0 J1 Jn Lgamma Log Log10 Log1p Log2 Pow Pow10 Sin Sincos Sinh Tan Tanh Y0 Y1 Yn`
	set := map[string]bool{}
	for _, n := range strings.Fields(names) {
		set[n] = true
	}
	return set
}()

// TestNoInexactMath keeps the promise that a model's bits are the same on every
// machine: elementary functions come from convoy/fmath.
func TestNoInexactMath(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && cosmetic[strings.TrimPrefix(filepath.ToSlash(path), "../../")] {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, complaint := range inexactMath(t, path, src) {
			t.Errorf("%s", complaint)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files were looked at: is this still two folders below the module's root?", files)
	}
}

// inexactMath lists the uses of inexact functions and of packages full of them.
func inexactMath(t *testing.T, path string, src []byte) (complaints []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := "" // what the file calls math
	for _, i := range file.Imports {
		switch i.Path.Value {
		case `"math/rand"`, `"math/rand/v2"`, `"math/cmplx"`:
			complaints = append(complaints, set.Position(i.Pos()).String()+": "+i.Path.Value+" must not decide about a model: use convoy/rng or convoy/fmath")
		case `"math"`:
			name = "math"
			if i.Name != nil {
				name = i.Name.Name
			}
			if name == "." {
				complaints = append(complaints, set.Position(i.Pos()).String()+": import math under its name")
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && name != "" && x.Name == name && inexact[s.Sel.Name] {
				complaints = append(complaints, set.Position(s.Pos()).String()+": math."+s.Sel.Name+" differs between machines: use convoy/fmath")
			}
		}
		return true
	})
	return complaints
}

func TestInexactMathIsSeen(t *testing.T) {
	for src, want := range map[string]int{
		"package p\nimport \"math\"\nvar x = math.Exp(1) + math.Sqrt(2) + math.Log2E": 1,
		"package p\nimport m \"math\"\nvar x = m.Pow\nvar y = m.FMA(1, 2, 3)":         2,
		"package p\nimport . \"math\"\nvar x = Abs(1)":                                1,
		"package p\nimport \"math/rand/v2\"\nvar x = rand.Int()":                      1,
		"package p\nimport math \"convoy/fmath\"\nvar x = math.Exp(1)":                0,
	} {
		if got := inexactMath(t, "p.go", []byte(src)); len(got) != want {
			t.Errorf("%q: %d complaints, want %d: %v", src, len(got), want, got)
		}
	}
}

// arithmetic are the packages that compute what enters a model.
var arithmetic = []string{
	"convoy/fmath", "convoy/rng", "convoy/tree", "convoy/kernels", "convoy/nn", "convoy/optim", "convoy/data",
}

// TestNothingIsFused compiles the arithmetic for arm64, where Go fuses a product
// into a sum unless the source rounds it, and looks for fused instructions.
func TestNothingIsFused(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for another machine")
	}
	build := exec.Command("go", append([]string{"build", "-gcflags=-S"}, arithmetic...)...)
	build.Dir = "../.."
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0", "GOFLAGS=")
	listing, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, regexp.MustCompile(`(?m)^[^\s]+\.go:\d+:.*$`).FindAll(listing, -1))
	}
	if !strings.Contains(string(listing), "FMULD") {
		t.Fatal("the listing holds no multiplication at all")
	}
	for _, line := range regexp.MustCompile(`(?m)^.*\bFN?M(ADD|SUB)[SD]\b.*$`).FindAllString(string(listing), -1) {
		t.Errorf("fused on arm64: write float32(a*b) + c or float64(a*b) + c: %s", line)
	}
}
