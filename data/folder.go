package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// A folder of images is ROOT/train/CLASS/FILE with ROOT/test/CLASS/FILE beside
// it, or ROOT/CLASS/FILE. Classes are numbered in bytewise order of their names,
// and examples stand in bytewise order of class and file: the digest names the
// content, not the file system's order. Hidden files and folders (.name) do not
// count, nor do files beside the folders of classes.

// heldOut are the names of the folder that goes with ROOT/train.
var heldOut = []string{"test", "val", "valid", "validation"}

// file is an image file of a set, by its path below the root.
type file struct {
	path  string
	class int
}

// readFolder finds the classes and files in root and looks at every image.
func readFolder(ctx context.Context, root string, o Options) (source, error) {
	train, test, err := foldersOf(root)
	if err != nil {
		return source{}, err
	}
	classes, err := classesOf(root, train, test)
	if err != nil {
		return source{}, err
	}
	files, err := filesOf(root, train, classes)
	if err != nil {
		return source{}, err
	}
	n := len(files)
	if test != "" {
		more, err := filesOf(root, test, classes)
		if err != nil {
			return source{}, err
		}
		files = append(files, more...)
	}
	return scan(ctx, scanned{root: root, classes: classes, files: files, train: n, hasTest: test != ""}, o)
}

// foldersOf returns the folders below root that hold the classes: "" and "" for
// root itself, and test "" where there is none.
func foldersOf(root string) (train, test string, err error) {
	folders, err := subfolders(root)
	if err != nil || !slices.Contains(folders, Train) {
		return "", "", err
	}
	for _, name := range heldOut {
		switch {
		case !slices.Contains(folders, name):
		case test != "":
			return "", "", fmt.Errorf("%s has both %s and %s: move away the one that is not meant", root, test, name)
		default:
			test = name
		}
	}
	return Train, test, nil
}

// subfolders lists the folders in dir in bytewise order.
func subfolders(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if isFolder(dir, e) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// classesOf lists the classes, which both folders must have.
func classesOf(root, train, test string) ([]string, error) {
	classes, err := subfolders(filepath.Join(root, train))
	if err != nil {
		return nil, err
	}
	if len(classes) < 2 || len(classes) > maxClasses {
		return nil, fmt.Errorf("%s has %d folders of classes: want 2 to %d", filepath.Join(root, train), len(classes), maxClasses)
	}
	for _, name := range classes {
		if len(name) > 256 || !utf8.ValidString(name) {
			return nil, fmt.Errorf("folder %.80q in %s: want a name of at most 256 bytes of UTF-8", name, filepath.Join(root, train))
		}
	}
	if test == "" {
		return classes, nil
	}
	others, err := subfolders(filepath.Join(root, test))
	if err != nil || slices.Equal(classes, others) {
		return classes, err
	}
	return nil, fmt.Errorf("the classes in %s differ: %s: both folders need the same", root,
		strings.Join(slices.DeleteFunc([]string{only(train, classes, others), only(test, others, classes)}, empty), "; "))
}

func empty(s string) bool { return s == "" }

// only names what a has and b lacks.
func only(folder string, a, b []string) string {
	var names []string
	for _, name := range a {
		if !slices.Contains(b, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "only " + folder + " has " + firstOf(names)
}

// firstOf joins the first few of a list.
func firstOf(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}

// filesOf lists the files of every class.
func filesOf(root, folder string, classes []string) (files []file, err error) {
	for class, name := range classes {
		dir := filepath.Join(folder, name)
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			path := filepath.Join(dir, e.Name())
			if isFolder(filepath.Join(root, dir), e) {
				return nil, fmt.Errorf("%s is a folder where the images of class %s belong: name the folder that holds the classes, or move it away", filepath.Join(root, path), name)
			}
			files = append(files, file{path, class})
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s holds no images: a class needs at least one", filepath.Join(root, dir))
		}
	}
	if len(files) > maxExamples {
		return nil, fmt.Errorf("%s holds %d files: at most %d are read", filepath.Join(root, folder), len(files), maxExamples)
	}
	return files, nil
}

// scanned is what a folder holds; scan fills in the rest.
type scanned struct {
	root    string
	classes []string
	files   []file // of the training examples, then of the test examples
	train   int    // how many are training examples
	hasTest bool
}

// errNoImages is the error where leaving out broken files leaves nothing.
var errNoImages = errors.New("no image can be read: is it a folder of PNG and JPEG files?")
