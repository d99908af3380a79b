package main

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/data"
)

func dataCommand() *cobra.Command {
	return cli.Group("data", "Import data sets, check them and look at them",
		`A set can be trained on from its own files. Importing it once decodes and checks
all of it and writes shards whose names are their SHA-256; its manifest's digest
names the content and is part of a job's recipe.`,
		dataImportCommand(), dataVerifyCommand(), dataSampleCommand())
}

// importFlags are the flags of `data import`.
type importFlags struct {
	name, out, resize, validation string
	o                             data.Options
}

func dataImportCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Turn a set's files into shards",
		Long: `Reads the set in the folder SOURCE, decodes and checks every image, and writes
shards and a manifest into a new folder, which ` + "`train`" + ` and ` + "`job submit`" + ` take as
data.dir. The formats are MNIST's IDX files (idx), the binary versions of CIFAR-10
and CIFAR-100 (cifar10, cifar100), and folders of classes with PNG and JPEG files
(folder): SOURCE/train/CLASS and SOURCE/test/CLASS (or val, valid, validation), or
SOURCE/CLASS. A set without test examples gets a part of every class as such.
The folder appears whole or not at all.`,
		Example: `  coordinator data import ~/cifar-10-batches-bin --name cifar10 -o sets/cifar10
  coordinator data import ~/flowers --name flowers --resize 64x64 --validation 0.2 -o sets/flowers
  coordinator train --data cifar10 --data-dir sets/cifar10 --model nin`,
		Args: one("the folder that holds the set's files"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	flags := c.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "folder to write, new or empty")
	flags.StringVar(&f.name, "name", "", "the set's name in job files (default SOURCE's, or cifar10, cifar100)")
	flags.StringVar(&f.o.Format, "format", data.FormatAuto, strings.Join(data.Formats(), ", "))
	flags.StringVar(&f.validation, "validation", "", "part of each class to set aside where there are no test examples (default 0.1)")
	flags.Uint64Var(&f.o.Seed, "seed", 0, "seed of what is set aside, and of --shuffle")
	flags.BoolVar(&f.o.Shuffle, "shuffle", false, "mix the training examples before they go into shards, for jobs with data.window")
	flags.StringVar(&f.resize, "resize", "", "height and width to bring a folder's images to, as in 64x64")
	flags.BoolVar(&f.o.RGB, "rgb", false, "make RGB of a folder's grey images")
	flags.BoolVar(&f.o.SkipBroken, "skip-broken", false, "leave out and list a folder's files that cannot be read")
	flags.BoolVar(&f.o.Coarse, "coarse", false, "CIFAR-100's 20 superclasses instead of its 100 classes")
	return c
}

func (f *importFlags) run(c *cobra.Command, from string) error {
	if f.out == "" {
		return cli.Usagef("data import writes a folder: name one with -o, for example -o sets/%s", filepath.Base(from))
	}
	if err := f.parse(); err != nil {
		return cli.Usage(err)
	}
	name := f.name
	if name == "" {
		name = data.DefaultName(from, f.o.Format)
	}
	done, err := data.ImportFiles(c.Context(), name, from, f.out, f.o)
	if err != nil {
		if c.Context().Err() != nil {
			return cli.Interruptedf("interrupted: nothing was written to %s", f.out)
		}
		return cli.Usage(err)
	}
	for _, skipped := range done.Skipped {
		if _, err := fmt.Fprintf(c.ErrOrStderr(), "left out %s\n", skipped); err != nil {
			return err
		}
	}
	more := [][]string{{"folder", f.out}}
	if n := len(done.Skipped); n > 0 {
		more = append([][]string{{"left out", strconv.Itoa(n) + " files"}}, more...)
	}
	return printManifest(c.OutOrStdout(), done.Manifest, more)
}

// parse reads the flags that are no plain numbers.
func (f *importFlags) parse() error {
	if f.resize != "" {
		high, wide, found := strings.Cut(f.resize, "x")
		var errs [2]error
		f.o.Height, errs[0] = strconv.Atoi(high)
		f.o.Width, errs[1] = strconv.Atoi(wide)
		if !found || errs[0] != nil || errs[1] != nil || f.o.Height < 1 || f.o.Width < 1 {
			return fmt.Errorf("--resize %q: want height and width in pixels, as in 64x64", f.resize)
		}
	}
	if f.validation != "" {
		part, err := strconv.ParseFloat(f.validation, 64)
		units := math.Round(part * data.ValidationUnit)
		if err != nil || !(units >= 1 && units < data.ValidationUnit) || math.Abs(part*data.ValidationUnit-units) > 1e-6 {
			return fmt.Errorf("--validation %q: want a part between 0 and 1 with at most four decimals, as in 0.1", f.validation)
		}
		f.o.Validation = int(units)
	}
	return nil
}

func dataVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Read every shard of an imported set and compare it with its digest",
		Long: `Reads every shard of the set that ` + "`data import`" + ` wrote to DIR and lists those
that are missing or damaged. It changes nothing, and ends with exit code 1 if
anything is wrong.`,
		Example: "  coordinator data verify sets/cifar10",
		Args:    one("the folder of an imported set"),
		RunE: func(c *cobra.Command, args []string) error {
			bad := 0
			m, err := data.Verify(c.Context(), args[0], func(at int, s data.Shard, err error) {
				bad++
				// What cannot be told on stderr is still told by the exit code.
				_, _ = fmt.Fprintf(c.ErrOrStderr(), "shard %d, %s examples %d to %d: %v\n", at, s.Split, s.First, s.First+s.Count-1, err)
			})
			if err != nil {
				return err
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d shards of %q are damaged or missing: import the set again", bad, len(m.Shards), m.Name)
			}
			return printManifest(c.OutOrStdout(), m, [][]string{{"folder", args[0] + ", whole"}})
		},
	}
}

// printManifest prints what a set holds, and more rows of a name and a text.
func printManifest(w io.Writer, m data.Manifest, more [][]string) error {
	mean, deviation := m.Moments()
	classes := strconv.Itoa(m.Classes)
	if len(m.ClassNames) > 0 {
		classes += ": " + few(m.ClassNames)
	}
	test := strconv.Itoa(m.Test)
	if v := m.Validation; v != nil {
		test += fmt.Sprintf(", set aside: %v of each class, seed %d", float64(v.Of10000)/data.ValidationUnit, v.Seed)
	}
	rows := [][]string{
		{"data set", m.Name},
		{"manifest", m.Digest().String()},
		{"classes", classes},
		{"images", fmt.Sprintf("%d×%d×%d", m.Channels, m.Height, m.Width)},
		{"train", strconv.Itoa(m.Train)},
		{"test", test},
		{"mean", perChannel(mean)},
		{"deviation", perChannel(deviation)},
		{"shards", fmt.Sprintf("%d, %.1f MB", len(m.Shards), float64(m.Bytes())/1e6)},
	}
	return table(w, append(rows, more...))
}

// few joins the first few names of a list.
func few(names []string) string {
	const few = 10
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

func perChannel(values []float64) string {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = strconv.FormatFloat(v, 'f', 4, 64)
	}
	return strings.Join(text, " ")
}
