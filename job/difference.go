package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// KeyDifference is a key in which two recipes differ, with both values as JSON
// has them; a recipe that lacks the key has "".
type KeyDifference struct {
	Key  string // as in a job file where that has it: optimizer.lr
	A, B string
}

// Differences compares two canonical recipes key by key, in the keys' order. They
// may come from releases other than this one: nothing but their form is checked.
func Differences(a, b []byte) ([]KeyDifference, error) {
	var keys [2]map[string]string
	for i, canonical := range [][]byte{a, b} {
		keys[i] = map[string]string{}
		if err := flatten(keys[i], "", canonical); err != nil {
			return nil, fmt.Errorf("recipe: %w", err)
		}
	}
	all := maps.Clone(keys[0])
	maps.Copy(all, keys[1])
	var list []KeyDifference
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if d := (KeyDifference{key, keys[0][key], keys[1][key]}); d.A != d.B {
			list = append(list, d)
		}
	}
	return list, nil
}

// flatten adds the keys of an object, each behind the path to it.
func flatten(into map[string]string, path string, object []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return err
	}
	for name, value := range fields {
		if path != "" {
			name = path + "." + name
		}
		if bytes.HasPrefix(value, []byte("{")) {
			if err := flatten(into, name, value); err != nil {
				return err
			}
			continue
		}
		into[name] = string(value)
	}
	return nil
}
