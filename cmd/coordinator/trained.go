package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"convoy/cmd/internal/cli"
	"convoy/data"
	"convoy/inspect"
	"convoy/kernels"
)

// dataChoice are the flags that name a data set for a trained network.
type dataChoice struct{ name, dir string }

func (d *dataChoice) flags(c *cobra.Command, unset string) {
	c.Flags().StringVar(&d.name, "data", "", "data set by name, or its folder (default "+unset+")")
	c.Flags().StringVar(&d.dir, "data-dir", "", "folder that holds the data set's files")
}

// open opens the data set that the flags name; nil where they name none.
func (d *dataChoice) open() (*data.Set, error) {
	if d.name == "" {
		if d.dir != "" {
			return nil, cli.Usagef("--data-dir %s: name the data set with --data too", d.dir)
		}
		return nil, nil
	}
	if info, err := os.Stat(d.name); err == nil && info.IsDir() && d.dir == "" && !data.Builtin(d.name) {
		set, err := data.OpenFolder(d.name)
		return set, cli.Usage(err)
	}
	set, err := data.Open(d.name, d.dir)
	return set, cli.Usage(err)
}

// onDisk reports whether a run's name is that of a folder or file; else it is that
// of a cluster's job.
func onDisk(name string) bool {
	_, err := os.Stat(name)
	return err == nil || strings.ContainsRune(name, filepath.Separator)
}

// withPool calls do with the goroutines that a command computes with: all cores
// where threads is 0.
func withPool(threads int, do func(*kernels.Pool) error) error {
	if threads < 0 {
		return cli.Usagef("--threads %d: want 0 (the default) or more", threads)
	}
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	pool := kernels.NewPool(threads)
	defer pool.Close()
	return do(pool)
}

// openRun opens a trained network and the data set that the flags name, nil where
// they name none; what is wrong with them is the user's input.
func openRun(run string, d dataChoice) (*inspect.Trained, *data.Set, error) {
	t, err := inspect.Open(run)
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	set, err := d.open()
	if err == nil && set != nil {
		err = cli.Usage(t.Meet(set.Manifest))
	}
	return t, set, err
}

// openPictures reads all pictures of a command line, each error with its file.
func openPictures(c *cobra.Command, t *inspect.Trained, paths []string, invert bool) ([]*inspect.Picture, error) {
	var pictures []*inspect.Picture
	var wrong []error
	for _, path := range paths {
		p, err := t.Picture(path, invert)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		pictures = append(pictures, p)
		if p.Light && t.TrainedOnDark() {
			other := "--invert turns light and dark around"
			if invert {
				other = "leave out --invert"
			}
			if _, err := fmt.Fprintf(c.ErrOrStderr(), "warning: %s is light at its border, the network was trained on light figures on a dark ground: %s\n", path, other); err != nil {
				return nil, err
			}
		}
	}
	return pictures, cli.Usage(errors.Join(wrong...))
}

// pictureFormat is the format that a file's ending asks for.
func pictureFormat(path string, formats ...string) (string, error) {
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	for _, f := range formats {
		if f == format {
			return format, nil
		}
	}
	return "", cli.Usagef("%s: name a file that ends in .%s", path, strings.Join(formats, " or ."))
}
