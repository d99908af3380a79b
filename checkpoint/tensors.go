package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gorgonia.org/tensor"

	"convoy/floats"
)

// Tensors reads any safetensors file of F32 and I64 tensors: one that users
// bring, or a checkpoint without regard to its run. The tensors' backings are
// []float32 and []int64, row by row, in memory of their own; the second result
// is the file's metadata. The recorded digest is not checked, see Read.
func Tensors(path string) (map[string]*tensor.Dense, map[string]string, error) {
	tensors, meta, err := readTensors(path)
	if err != nil {
		return nil, nil, fmt.Errorf("tensors of %s: %w", path, err)
	}
	return tensors, meta, nil
}

func readTensors(path string) (_ map[string]*tensor.Dense, _ map[string]string, err error) {
	f, size, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h, err := readHeader(f, size)
	if err != nil {
		return nil, nil, err
	}
	tensors := make(map[string]*tensor.Dense, len(h.Tensors))
	for _, t := range h.Tensors {
		in := io.NewSectionReader(f, h.Start+t.Low, t.High-t.Low)
		if tensors[t.Name], err = dense(in, t); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return tensors, h.Meta, nil
}

// dense reads one tensor's elements.
func dense(in io.Reader, t entry) (*tensor.Dense, error) {
	var backing any
	if t.DType == "F32" {
		v := make([]float32, t.count)
		if _, err := io.ReadFull(in, floats.Bytes(v)); err != nil {
			return nil, err
		}
		backing = v
	} else {
		v := make([]int64, t.count)
		if err := binary.Read(in, binary.LittleEndian, v); err != nil {
			return nil, err
		}
		backing = v
	}
	if len(t.Dims) == 0 { // a scalar; the container wants at least one dimension
		t.Dims = []int{1}
	}
	return tensor.New(tensor.WithShape(t.Dims...), tensor.WithBacking(backing)), nil
}
