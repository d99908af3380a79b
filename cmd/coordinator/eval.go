package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/inspect"
	"convoy/kernels"
	"convoy/picture"
)

func modelEvalCommand() *cobra.Command {
	var o output
	var d dataChoice
	var split, confusion string
	var threads int
	c := &cobra.Command{
		Use:   "eval RUN",
		Short: "Evaluate a trained network on a data set",
		Long: `Computes loss and accuracy of a trained network on a data set's test examples,
precision and recall of each class, and which classes are taken for which. RUN is
the folder of a run, or a checkpoint's .safetensors file. Loss and counts are, to
the bit, those that the run recorded after the epoch that made the state. With
more than 20 classes the text shows the worst ones; -o json has all.`,
		Example: `  coordinator model eval runs/lenet-relu-1
  coordinator model eval runs/lenet-relu-1 --confusion confusion.png
  coordinator model eval model.safetensors --data mnist --data-dir ~/mnist -o json`,
		Args: one("a run's folder or a checkpoint's .safetensors file"),
		RunE: func(c *cobra.Command, args []string) error {
			if split != data.Test && split != data.Train {
				return cli.Usagef("--split %s: want %s or %s", split, data.Test, data.Train)
			}
			if confusion != "" {
				if _, err := pictureFormat(confusion, "png"); err != nil {
					return err
				}
			}
			t, set, err := openWithData(args[0], d)
			if err != nil {
				return err
			}
			examples := set.Test
			if split == data.Train {
				examples = set.Train
			}
			var e inspect.Evaluation
			err = withPool(threads, func(pool *kernels.Pool) (err error) {
				e, err = t.Evaluate(c.Context(), pool, set.Manifest, examples)
				return err
			})
			if err != nil {
				return err
			}
			r := evaluated{t, set.Manifest, split, e, t.ClassNames()}
			if confusion != "" {
				if err := r.draw(confusion); err != nil {
					return err
				}
			}
			if o == jsonOutput {
				return writeJSON(c.OutOrStdout(), r.json())
			}
			return r.print(c.OutOrStdout())
		},
	}
	d.flags(c, "the run's own")
	c.Flags().StringVar(&split, "split", data.Test, "examples to evaluate: test or train")
	c.Flags().StringVar(&confusion, "confusion", "", "file to draw the confusion matrix into, PNG")
	c.Flags().IntVar(&threads, "threads", 0, "goroutines (default all cores)")
	o.flag(c)
	return c
}

// openWithData opens a trained network and the data that it is to be evaluated
// on, which it accepts.
func openWithData(run string, d dataChoice) (*inspect.Trained, *data.Set, error) {
	t, set, err := openRun(run, d)
	if err == nil && set == nil {
		set, err = t.Set()
	}
	return t, set, cli.Usage(err)
}

// evaluated is what `model eval` shows.
type evaluated struct {
	t     *inspect.Trained
	data  data.Manifest
	split string
	inspect.Evaluation
	names []string
}

// evaluationJSON is what `model eval -o json` prints.
type evaluationJSON struct {
	Model      string      `json:"model"`
	Checkpoint string      `json:"checkpoint"`
	Step       int         `json:"step"`
	Digest     string      `json:"digest"` // of the state
	Data       string      `json:"data"`
	Manifest   string      `json:"manifest"`
	Split      string      `json:"split"`
	Examples   int         `json:"examples"`
	Loss       float64     `json:"loss"` // mean of the examples
	LossSum    float64     `json:"loss_sum"`
	Correct    int         `json:"correct"`
	Accuracy   float64     `json:"accuracy"` // 0 to 1
	Top5       float64     `json:"top5_accuracy"`
	Classes    []scoreJSON `json:"classes"`
	Confusion  [][]int     `json:"confusion"` // [class][class predicted]
}

type scoreJSON struct {
	Class     int      `json:"class"`
	Name      string   `json:"name"`
	Examples  int      `json:"examples"`
	Predicted int      `json:"predicted"`
	Correct   int      `json:"correct"`
	Precision *float64 `json:"precision"` // null where nothing was taken for the class
	Recall    *float64 `json:"recall"`    // null where there are no examples of the class
}

func (r evaluated) accuracy() float64 { return float64(r.Correct) / float64(r.Examples) }
func (r evaluated) top5() float64     { return float64(r.Top5) / float64(r.Examples) }

func (r evaluated) json() evaluationJSON {
	j := evaluationJSON{
		Model: r.t.Recipe.Model, Checkpoint: r.t.File, Step: r.t.Step, Digest: r.t.Digest.String(),
		Data: r.data.Name, Manifest: r.data.Digest().String(), Split: r.split,
		Examples: r.Examples, Loss: r.Loss(), LossSum: r.LossSum, Correct: r.Correct,
		Accuracy: r.accuracy(), Top5: r.top5(), Confusion: r.Confusion,
	}
	for i, s := range r.Scores() {
		c := scoreJSON{Class: i, Name: r.names[i], Examples: s.Examples, Predicted: s.Predicted, Correct: s.Correct}
		if p, ok := s.Precision(); ok {
			c.Precision = &p
		}
		if q, ok := s.Recall(); ok {
			c.Recall = &q
		}
		j.Classes = append(j.Classes, c)
	}
	return j
}

// draw writes the confusion matrix as a PNG file.
func (r evaluated) draw(path string) error {
	img, err := picture.Confusion{
		Title: fmt.Sprintf("%s on %s, %s", r.t.Recipe.Model, r.data.Name, r.split),
		Lines: []string{fmt.Sprintf("%d examples, accuracy %s", r.Examples, percent(r.accuracy()))},
		Names: r.names, Counts: r.Confusion,
	}.Draw()
	if err != nil {
		return cli.Usage(err)
	}
	return writePNG(path, img)
}

// Up to so many classes the whole matrix is printed, and of more the worst.
const (
	printedClasses = 20
	printedWorst   = 10
)

func (r evaluated) print(w io.Writer) error {
	rows := [][]string{
		{"model", fmt.Sprintf("%s, state %d of %s", r.t.Recipe.Model, r.t.Step, r.t.File)},
		{"data", fmt.Sprintf("%s, %d %s examples", r.data.Name, r.Examples, r.split)},
		{"loss", fmt.Sprintf("%.4f", r.Loss())},
		{"accuracy", percent(r.accuracy())},
	}
	if len(r.names) > predicted {
		rows = append(rows, []string{"top-5", percent(r.top5())})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := r.printClasses(w); err != nil {
		return err
	}
	if len(r.names) > printedClasses {
		return r.printPairs(w)
	}
	return r.printMatrix(w)
}

// printClasses prints precision and recall, of many classes those with the
// least recall.
func (r evaluated) printClasses(w io.Writer) error {
	scores := r.Scores()
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	if len(scores) > printedClasses {
		recall := func(i int) float64 {
			if q, ok := scores[i].Recall(); ok {
				return q
			}
			return 1
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(recall(a), recall(b)) })
		order = order[:printedWorst]
		if _, err := fmt.Fprintf(w, "the %d of %d classes with the least recall\n", printedWorst, len(scores)); err != nil {
			return err
		}
	}
	rows := [][]string{{"CLASS", "EXAMPLES", "PRECISION", "RECALL"}}
	for _, i := range order {
		rows = append(rows, []string{r.names[i], strconv.Itoa(scores[i].Examples), percentOf(scores[i].Precision()), percentOf(scores[i].Recall())})
	}
	return table(w, rows)
}

// percentOf is a part as a table has it, nothing where there is none.
func percentOf(part float64, ok bool) string {
	if !ok {
		return ""
	}
	return percent(part)
}

// printMatrix prints a row for each class, and in it for what its examples were
// taken.
func (r evaluated) printMatrix(w io.Writer) error {
	wide, name := 1, 0
	for i, row := range r.Confusion {
		name = max(name, utf8.RuneCountInString(r.label(i)))
		for _, n := range row {
			wide = max(wide, len(strconv.Itoa(n)))
		}
	}
	var b strings.Builder
	b.WriteString("\nrows are the classes, columns what their examples were taken for\n")
	fmt.Fprintf(&b, "%*s", name, "")
	for j := range r.Confusion {
		fmt.Fprintf(&b, "  %*d", max(wide, 2), j)
	}
	for i, row := range r.Confusion {
		fmt.Fprintf(&b, "\n%-*s", name, r.label(i))
		for _, n := range row {
			cell := strconv.Itoa(n)
			if n == 0 {
				cell = "·"
			}
			fmt.Fprintf(&b, "  %*s", max(wide, 2), cell)
		}
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// label is a class's number with its name, if that is another.
func (r evaluated) label(class int) string {
	number := strconv.Itoa(class)
	if r.names[class] == number {
		return number
	}
	return number + " " + r.names[class]
}

// printPairs prints the classes that are confused most often.
func (r evaluated) printPairs(w io.Writer) error {
	type pair struct{ class, taken, n int }
	var pairs []pair
	for i, row := range r.Confusion {
		for j, n := range row {
			if i != j && n > 0 {
				pairs = append(pairs, pair{i, j, n})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.n, a.n) })
	if _, err := fmt.Fprintln(w, "\nthe classes that are confused most often"); err != nil {
		return err
	}
	rows := [][]string{{"CLASS", "TAKEN FOR", "EXAMPLES"}}
	for _, p := range pairs[:min(printedWorst, len(pairs))] {
		rows = append(rows, []string{r.names[p.class], r.names[p.taken], strconv.Itoa(p.n)})
	}
	return table(w, rows)
}
