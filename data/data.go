// Package data owns the examples that a network is trained on: where they come
// from (IDX and CIFAR files, folders of images, the built-in digits), how they are
// stored and moved (shards and their manifest) and how they become a network's
// input: changed at random, resized, normalised (Preparation).
//
// It promises that a manifest's digest names the content: two sets with one
// digest hold the same pixels and labels in the same order, whoever read them
// from which files. Images are decoded once, to uint8, when a set is opened;
// nothing between those bytes and a network's input depends on the machine.
//
// The shards follow the content-addressed chunks of restic and git: the name of
// a piece is the SHA-256 of its bytes, so every copy can be checked by whoever
// holds it and a cache never goes stale.
package data

import (
	"context"
	"fmt"

	"convoy/similar"
)

// Split is a numbered list of labelled images, safe for concurrent use.
type Split interface {
	// Len is the number of examples.
	Len() int
	// Example writes example i, 0 ≤ i < Len, into pixels (channels × height ×
	// width bytes, channel by channel, row by row) and returns its label.
	Example(i int, pixels []byte) (label int)
}

// Set is a data set: what it holds, and the examples.
type Set struct {
	Manifest    Manifest
	Train, Test Split

	// stored reads a shard where it is already; nil makes it of the examples.
	stored func(Shard) ([]byte, error)
}

// Shard returns the bytes of one of the manifest's shards: what a client sends
// to a cluster. They are the caller's.
func (s *Set) Shard(shard Shard) ([]byte, error) {
	if s.stored != nil {
		return s.stored(shard)
	}
	return encodeShard(s.Manifest, shard, sure{s.split(shard.Split)})
}

func (s *Set) split(name string) Split {
	if name == Train {
		return s.Train
	}
	return s.Test
}

// Builtin reports whether the set called name needs no files.
func Builtin(name string) bool { return name == builtin }

const builtin = "digits"

// Open reads the data set called name: the built-in one, or the files in dir,
// which an import wrote or which are of one of Formats. Everything is checked
// and held in memory: afterwards nothing can fail.
func Open(name, dir string) (*Set, error) {
	switch {
	case Builtin(name):
		return Digits(), nil
	case dir == "":
		hint := ""
		if near := similar.To(name, []string{builtin}); near != "" {
			hint = fmt.Sprintf(" (did you mean %q, which is built in?)", near)
		}
		return nil, fmt.Errorf("data set %q needs the folder of its files%s: name it with --data-dir, or with dir in the job file", name, hint)
	case IsImported(dir):
		return openImported(name, dir)
	}
	s, err := openSource(context.Background(), name, dir, Options{})
	if err != nil {
		return nil, err
	}
	return s.resident(context.Background())
}
