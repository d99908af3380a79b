package data

import (
	"path/filepath"
	"strings"
)

// OpenFolder is Open of a folder whose set the caller has no name for: an imported
// set has its own, and files take the folder's in small letters, with a dash for
// every other character.
func OpenFolder(dir string) (*Set, error) {
	if IsImported(dir) {
		m, err := importedManifest(dir)
		if err != nil {
			return nil, err
		}
		return openImported(m.Name, dir)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return Open(nameOf(filepath.Base(absolute)), absolute)
}

// nameOf makes the name of a set out of that of a folder.
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
