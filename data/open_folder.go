package data

import (
	"path/filepath"
	"strings"
)

// OpenFolder is Open of a folder whose set the caller has no name for: an imported
// set has its own, and files take DefaultName.
func OpenFolder(dir string) (*Set, error) {
	if IsImported(dir) {
		m, err := importedManifest(dir)
		if err != nil {
			return nil, err
		}
		return openImported(m.Name, dir)
	}
	return Open(DefaultName(dir, FormatAuto), dir)
}

// DefaultName is what the set in dir is called unless the user says otherwise:
// what everybody calls CIFAR's, else the folder's name.
func DefaultName(dir, format string) string {
	found, err := detect(dir, format)
	if err == nil && (found == FormatCIFAR10 || found == FormatCIFAR100) {
		return found
	}
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	return nameOf(filepath.Base(dir))
}

// nameOf makes the name of a set out of that of a folder: in small letters, with a
// dash for every other character.
func nameOf(folder string) string {
	name := strings.Map(func(r rune) rune {
		if validName(string(r)) {
			return r
		}
		return '-'
	}, strings.ToLower(folder))
	name = strings.Trim(name[:min(len(name), 64)], "-")
	if name == "" || Builtin(name) {
		return "folder"
	}
	return name
}
