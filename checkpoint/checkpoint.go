// Package checkpoint owns a job's states on disk, as safetensors files.
//
// It promises that equal states give equal bytes on every machine, that a file
// is there whole and durable or not at all, and that Read returns the state that
// was written or an error: it computes the state's digest anew. The model's
// parameters bear PyTorch's names, so a checkpoint is at the same time the file
// that users take the trained model from; the optimizer's slots follow as
// "optimizer.velocity.<parameter>", and the metadata tells the recipe, the step,
// the chain and the digest. The format is Hugging Face's safetensors; the order
// temp file, fsync, rename, fsync of the folder is that of Pillai et al., "All
// file systems are not created equal", 2014.
package checkpoint

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"convoy/digest"
	"convoy/failpoint"
	"convoy/floats"
	"convoy/job"
	"convoy/optim"
)

// Meta says which state of which run a checkpoint holds.
type Meta struct {
	Recipe job.Recipe
	Step   int        // t of state t
	Chain  digest.Sum // c(t)
	Digest digest.Sum // of the state
}

func (m Meta) encode() map[string]string {
	return map[string]string{
		"format":             "convoy",
		"arithmetic_version": strconv.Itoa(m.Recipe.ArithmeticVersion),
		"recipe":             string(m.Recipe.Canonical()),
		"recipe_hash":        m.Recipe.Hash().String(),
		"step":               strconv.Itoa(m.Step),
		"chain":              m.Chain.String(),
		"digest":             m.Digest.String(),
	}
}

func decodeMeta(text map[string]string) (m Meta, err error) {
	if text["format"] != "convoy" {
		return m, errors.New("no checkpoint of convoy: name one that convoy wrote")
	}
	if v := text["arithmetic_version"]; v != strconv.Itoa(job.ArithmeticVersion) {
		return m, fmt.Errorf("written with arithmetic version %q, this program has %d: use the release that wrote it", v, job.ArithmeticVersion)
	}
	if m.Recipe, err = job.ParseRecipe([]byte(text["recipe"])); err != nil {
		return m, err
	}
	if h := m.Recipe.Hash().String(); text["recipe_hash"] != h {
		return m, fmt.Errorf("the recipe's hash is %s, the file says %q", h, text["recipe_hash"])
	}
	if m.Step, err = strconv.Atoi(text["step"]); err != nil || m.Step < 0 || m.Step > m.Recipe.Sequence().Len() {
		return m, fmt.Errorf("step %q of a job of %d steps", text["step"], m.Recipe.Sequence().Len())
	}
	if m.Chain, err = digest.Parse(text["chain"]); err != nil {
		return m, fmt.Errorf("chain: %w", err)
	}
	if m.Digest, err = digest.Parse(text["digest"]); err != nil {
		return m, fmt.Errorf("digest: %w", err)
	}
	return m, nil
}

// sealKey is the metadata whose value is the SHA-256 of the header without it.
// The state's digest does not cover names, step and chain; this does.
const sealKey = "seal"

// seal returns that SHA-256, whether the seal is in the header or not.
func seal(h *header) (string, error) {
	bare := *h
	bare.Meta = maps.Clone(h.Meta)
	delete(bare.Meta, sealKey)
	b, err := bare.encode()
	return digest.Of(b).String(), err
}

// TempSuffix ends the names of files that Write has not finished. One that is
// left behind by a crash may be deleted; Write itself writes over it.
const TempSuffix = ".tmp"

// Write writes a state to path and returns the file's SHA-256. It replaces a
// file of that name at one instant, once the new one is durable; on an error
// what was there stays. The folder must exist; one caller writes to a path at a
// time. m.Digest must be the state's digest.
func Write(path string, s *optim.State, m Meta) (digest.Sum, error) {
	sum, err := write(osDisk{}, path, s, m)
	if err != nil {
		return digest.Sum{}, fmt.Errorf("write checkpoint %s: %w", path, err)
	}
	return sum, nil
}

// disk is the part of a file system that Write needs; tests put a failing one in.
type disk interface {
	Create(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(path string) error
}

type file interface {
	io.WriteCloser
	Sync() error
}

type osDisk struct{}

func (osDisk) Create(path string) (file, error) { return os.Create(path) }
func (osDisk) Rename(from, to string) error     { return os.Rename(from, to) }
func (osDisk) Remove(path string) error         { return os.Remove(path) }

func (osDisk) SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func write(d disk, path string, s *optim.State, m Meta) (digest.Sum, error) {
	h, err := layout(s, m)
	if err != nil {
		return digest.Sum{}, err
	}
	if h.Meta[sealKey], err = seal(h); err != nil {
		return digest.Sum{}, err
	}
	head, err := h.encode()
	if err != nil {
		return digest.Sum{}, err
	}
	failpoint.Pass(failpoint.BeforeWrite)
	sha := sha256.New()
	if err := replace(d, path, path+TempSuffix, func(f io.Writer) error { return stream(f, sha, head, s) }); err != nil {
		return digest.Sum{}, err
	}
	return digest.Sum(sha.Sum(nil)), nil
}

// replace puts what fill writes in the place of path at one instant, once it is
// durable; on an error what was there stays.
func replace(d disk, path, temp string, fill func(io.Writer) error) error {
	f, err := d.Create(temp)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		failpoint.Pass(failpoint.BeforeRename)
		err = d.Rename(temp, path)
	}
	if err != nil {
		if gone := d.Remove(temp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	failpoint.Pass(failpoint.AfterRename)
	return d.SyncDir(filepath.Dir(path))
}

// Install makes path the file whose SHA-256 is sum, as fill brings it from
// elsewhere: durable, and not at all where it is another file. Write may write to
// the path meanwhile.
func Install(path string, sum digest.Sum, fill func(io.Writer) error) error {
	err := replace(osDisk{}, path, path+".copy"+TempSuffix, func(f io.Writer) error {
		sha := sha256.New()
		if err := fill(io.MultiWriter(f, sha)); err != nil {
			return err
		}
		if got := digest.Sum(sha.Sum(nil)); got != sum {
			return fmt.Errorf("what came has SHA-256 %s, want %s", got, sum)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("install checkpoint %s: %w", path, err)
	}
	return nil
}

// layout lists the tensors of a file: the parameters in canonical order, then
// each slot's.
func layout(s *optim.State, m Meta) (*header, error) {
	if got := s.Digest(); got != m.Digest {
		return nil, fmt.Errorf("the state of step %d has digest %s, not %s as it should", m.Step, got, m.Digest)
	}
	slots := optim.FromJob(m.Recipe.Optimizer).Slots()
	if len(slots) != len(s.Slots) {
		return nil, fmt.Errorf("a state with %d optimizer slots, the recipe's optimizer has %d", len(s.Slots), len(slots))
	}
	h := &header{Meta: m.encode()}
	end := int64(0)
	add := func(name string, t optim.Tensor) {
		high := end + 4*int64(t.Len())
		h.Tensors = append(h.Tensors, entry{name, "F32", append([]int{}, t.Dims...), end, high, t.Len()})
		end = high
	}
	for _, t := range s.Layout {
		if t.Name == metadataKey || isSlot(t.Name) || t.Len() < 1 || len(t.Dims) > maxDims {
			return nil, fmt.Errorf("a file cannot hold a parameter %q of shape %v", t.Name, t.Dims)
		}
		add(t.Name, t)
	}
	if int(end) != 4*len(s.Params) {
		return nil, fmt.Errorf("a layout of %d elements for %d parameters", end/4, len(s.Params))
	}
	for _, slot := range slots {
		for _, t := range s.Layout {
			add(slotName(slot, t.Name), t)
		}
	}
	return h, nil
}

// stream writes the file's bytes, hashing each piece while it is in the cache.
func stream(f io.Writer, sha hash.Hash, head []byte, s *optim.State) error {
	const piece = 256 << 10 // bytes
	out := bufio.NewWriterSize(io.MultiWriter(f, sha), piece)
	if _, err := out.Write(head); err != nil {
		return err
	}
	for _, v := range append([][]float32{s.Params}, s.Slots...) {
		failpoint.Pass(failpoint.DuringWrite)
		for b := floats.Bytes(v); len(b) > 0; {
			n := min(len(b), piece)
			if _, err := out.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
	}
	return out.Flush()
}

// Read reads a checkpoint that an optimizer is to go on from, and checks all of
// it: layout, sizes, slots, recipe, and the state's digest.
func Read(path string, o optim.SGD) (_ *optim.State, _ Meta, err error) {
	f, size, err := open(path)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s, m, err := read(f, size, o)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return s, m, nil
}

// read does Read's work on a file of size bytes.
func read(f io.ReaderAt, size int64, o optim.SGD) (s *optim.State, m Meta, err error) {
	h, err := readHeader(f, size)
	if err != nil {
		return nil, m, damaged(err)
	}
	if m, err = sealedMeta(h); err != nil {
		return nil, m, err
	}
	if s, err = stateOf(h, o); err != nil {
		return nil, m, err
	}
	in := io.NewSectionReader(f, h.Start, size-h.Start)
	for _, v := range append([][]float32{s.Params}, s.Slots...) {
		if _, err := io.ReadFull(in, floats.Bytes(v)); err != nil {
			return nil, m, err
		}
	}
	if got := s.Digest(); got != m.Digest {
		return nil, m, damaged(fmt.Errorf("the state's digest is %s, the file says %s", got, m.Digest))
	}
	return s, m, nil
}

// ErrDamaged is in the chain of errors about a file that does not hold what was
// written to it.
var ErrDamaged = errors.New("the file is damaged; delete it and go on from an older checkpoint")

// damaged adds what to do about a file whose content is wrong.
func damaged(err error) error { return fmt.Errorf("%w: %w", err, ErrDamaged) }

// stateOf returns an empty state of the header's layout: parameters first, then
// each slot with the same tensors in the same order.
func stateOf(h *header, o optim.SGD) (*optim.State, error) {
	n := 0
	s := &optim.State{}
	for _, t := range h.Tensors {
		if t.DType != "F32" {
			return nil, damaged(fmt.Errorf("tensor %q of type %s, want F32", t.Name, t.DType))
		}
		if isSlot(t.Name) {
			continue
		}
		s.Layout = append(s.Layout, optim.Tensor{Name: t.Name, Dims: t.Dims})
		n += t.count
	}
	slots := h.Tensors[len(s.Layout):]
	if want := len(o.Slots()) * len(s.Layout); len(slots) != want {
		return nil, fmt.Errorf("%d tensors of optimizer slots, this optimizer has %d: go on with the optimizer that the file was written with", len(slots), want)
	}
	s.Params = make([]float32, n)
	for i, slot := range o.Slots() {
		for j, p := range s.Layout {
			t := slots[i*len(s.Layout)+j]
			if t.Name != slotName(slot, p.Name) || !slices.Equal(t.Dims, p.Dims) {
				return nil, damaged(fmt.Errorf("tensor %q of shape %v, want %q of shape %v", t.Name, t.Dims, slotName(slot, p.Name), p.Dims))
			}
		}
		s.Slots = append(s.Slots, make([]float32, n))
	}
	return s, nil
}

// Verify checks that the file at path has the SHA-256 sum.
func Verify(path string, sum digest.Sum) (err error) {
	f, _, err := open(path)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sha := sha256.New()
	if _, err := io.Copy(sha, f); err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	if got := digest.Sum(sha.Sum(nil)); got != sum {
		return fmt.Errorf("checkpoint %s: %w", path, damaged(fmt.Errorf("SHA-256 %s, want %s", got, sum)))
	}
	return nil
}

// open opens a regular file and tells its size.
func open(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file: name a .safetensors file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}
