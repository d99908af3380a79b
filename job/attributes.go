package job

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// An attribute is a named value of a layer. Its field is the zero value in layers
// of types that do not have it.
type attribute struct {
	name string
	attributeValue
	unset func(*Layer) // fills in the default; nil where the attribute is required
}

// An attributeValue is a value's kind, with the field that it fills. The errors of
// check go on after the attribute's name.
type attributeValue interface {
	read(l *Layer, name string, n ast.Node) error
	check(l *Layer) error
	clear(l *Layer)
	text(l *Layer) string // as a job file has it, "" where it need not
}

// wholeValue is a whole number.
type wholeValue struct {
	field     func(*Layer) *int
	low, high int
}

func (v wholeValue) read(l *Layer, name string, n ast.Node) (err error) {
	*v.field(l), err = wholeNumber(name, n)
	return err
}

func (v wholeValue) check(l *Layer) error {
	if n := *v.field(l); n < v.low || n > v.high {
		return fmt.Errorf("%d: want %d to %d", n, v.low, v.high)
	}
	return nil
}

func (v wholeValue) clear(l *Layer)       { *v.field(l) = 0 }
func (v wholeValue) text(l *Layer) string { return strconv.Itoa(*v.field(l)) }

// realValue is a finite number.
type realValue struct {
	field func(*Layer) *float32
	fine  func(float32) bool
	want  string // what fine asks for
}

func (v realValue) read(l *Layer, name string, n ast.Node) (err error) {
	*v.field(l), err = realNumber(name, n)
	return err
}

func (v realValue) check(l *Layer) error {
	if x := *v.field(l); !v.fine(x) || !finite(x) {
		return fmt.Errorf("%v: want a finite number %s", x, v.want)
	}
	return nil
}

func (v realValue) clear(l *Layer)       { *v.field(l) = 0 }
func (v realValue) text(l *Layer) string { return short(*v.field(l)) }

// truthValue is true or false.
type truthValue struct{ field func(*Layer) *bool }

func (v truthValue) read(l *Layer, name string, n ast.Node) (err error) {
	*v.field(l), err = truth(name, n)
	return err
}

func (v truthValue) check(*Layer) error   { return nil }
func (v truthValue) clear(l *Layer)       { *v.field(l) = false }
func (v truthValue) text(l *Layer) string { return strconv.FormatBool(*v.field(l)) }

// tableValue is a convolution's table of connections: a row of X and dots for each
// channel of the input, an X where the output of that column sees it, slashes
// between the rows. That there are as many of both as channels is for nn to say.
type tableValue struct{}

func (tableValue) read(l *Layer, name string, n ast.Node) error {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return fmt.Errorf("%s: want rows of X and dots with slashes between them, such as XX./.XX", describe(name, n))
	}
	l.Table = s.Value
	return nil
}

func (tableValue) check(l *Layer) error {
	if l.Table == "" {
		return nil
	}
	for row := range strings.SplitSeq(l.Table, "/") {
		if len(row) != l.Out || strings.Trim(row, "X.") != "" {
			return fmt.Errorf("%q: want rows of %d characters, X or a dot for each output, with slashes between them", clip(l.Table), l.Out)
		}
	}
	return nil
}

func (tableValue) clear(l *Layer) { l.Table = "" }

func (tableValue) text(l *Layer) string {
	if l.Table == "" {
		return ""
	}
	return quoted(l.Table)
}

func channels(name string, field func(*Layer) *int) attribute {
	return attribute{name: name, attributeValue: wholeValue{field, 1, maxChannels}}
}

func realAttribute(name string, field func(*Layer) *float32, fine func(float32) bool, want string) attribute {
	return attribute{name: name, attributeValue: realValue{field, fine, want}}
}

// optional is an attribute that is the zero value where it is left out.
func (a attribute) optional() attribute {
	a.unset = a.clear
	return a
}

// or is a whole attribute that may be left out.
func (a attribute) or(n int) attribute {
	field := a.attributeValue.(wholeValue).field
	a.unset = func(l *Layer) { *field(l) = n }
	return a
}

var (
	outChannels = channels("out", func(l *Layer) *int { return &l.Out })
	kernel      = attribute{name: "kernel", attributeValue: wholeValue{func(l *Layer) *int { return &l.Kernel }, 1, maxWindow}}
	stride      = attribute{name: "stride", attributeValue: wholeValue{func(l *Layer) *int { return &l.Stride }, 1, maxWindow}}
	padding     = attribute{name: "padding", attributeValue: wholeValue{func(l *Layer) *int { return &l.Padding }, 0, maxWindow}}.optional()
	groups      = channels("groups", func(l *Layer) *int { return &l.Groups }).or(1)
	table       = attribute{name: "table", attributeValue: tableValue{}}.optional()
	maxima      = attribute{name: "max", attributeValue: truthValue{func(l *Layer) *bool { return &l.Max }}}.optional()

	// sideBySide is the stride of windows that do not overlap.
	sideBySide = attribute{name: stride.name, attributeValue: stride.attributeValue, unset: func(l *Layer) { l.Stride = l.Kernel }}
	pooling    = []attribute{kernel, sideBySide, padding}
)
