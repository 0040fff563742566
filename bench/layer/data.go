package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// data is a directory of files that go into a layer.
type data struct {
	name, about string
	make        func(dir string) error
}

// in makes the data, if they are not there, and returns their directory.
func (d data) in(dir string) (string, error) {
	at := filepath.Join(dir, d.name+"-"+runtime.Version())
	if _, err := os.Stat(at); err == nil {
		return at, nil
	}
	fmt.Fprintf(os.Stderr, "bench: making %s: %s\n", d.name, d.about)
	unfinished := at + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := d.make(unfinished); err != nil {
		return "", err
	}
	return at, os.Rename(unfinished, at)
}

var (
	small    = data{"small", "20,000 small files: Go's sources, in pieces of at most 16 KiB", func(dir string) error { return pieces(dir, 20000) }}
	repeated = data{"repeated", "3,533 small files under each of five prefixes", func(dir string) error {
		for i := range 5 {
			if err := pieces(filepath.Join(dir, fmt.Sprintf("prefix%d", i)), 3533); err != nil {
				return err
			}
		}
		return nil
	}}
	binaries     = data{"binaries", "the programs of the Go toolchain", programs}
	manyBinaries = data{"many-binaries", "1.5 GB of programs of the Go toolchain", func(dir string) error {
		for i := range 18 {
			if err := shuffledPrograms(filepath.Join(dir, fmt.Sprint(i)), uint64(i)); err != nil {
				return err
			}
		}
		return nil
	}}
	noise = data{"noise", "1 GiB that does not compress, in four files", func(dir string) error { return random(dir, 4, 256<<20) }}
)

// pieces writes the first n pieces of Go's sources, and of modules if those do not suffice.
func pieces(dir string, n int) error {
	done := errorDone
	count := 0
	goroot, err := goEnv("GOROOT")
	if err != nil {
		return err
	}
	modules, err := goEnv("GOMODCACHE")
	if err != nil {
		return err
	}
	for _, root := range []string{filepath.Join(goroot, "src"), filepath.Join(goroot, "test"), modules} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			for i := 0; err == nil && len(b) > 0; i++ {
				if count == n {
					return done
				}
				piece := b[:min(len(b), 16<<10)]
				b = b[len(piece):]
				count++
				err = writeFile(filepath.Join(dir, fmt.Sprintf("d%03d/%05d-%d-%s", count/64, count, i, filepath.Base(path))), piece)
			}
			return err
		})
		if err == done {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("the sources of Go and its modules have only %d files: want %d", count, n)
}

var errorDone = fmt.Errorf("done")

// goEnv asks the go command where it keeps things.
func goEnv(name string) (string, error) {
	out, err := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out)), err
}

// programs copies those of the Go toolchain.
func programs(dir string) error {
	return eachProgram(func(path string, b []byte) error { return writeFile(filepath.Join(dir, path), b) })
}

// shuffledPrograms writes them with their pieces in another order. Pieces are as long as deflate looks back: so they compress as well, and
// no frame is like one of another order.
func shuffledPrograms(dir string, order uint64) error {
	const piece = 32 << 10
	r := rand.New(rand.NewPCG(order, 0))
	return eachProgram(func(path string, b []byte) error {
		pieces := slices.Collect(slices.Chunk(b, piece))
		r.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		return writeFile(filepath.Join(dir, path), slices.Concat(pieces...))
	})
}

// eachProgram calls f with each program of the Go toolchain.
func eachProgram(f func(path string, b []byte) error) error {
	goroot, err := goEnv("GOROOT")
	if err != nil {
		return err
	}
	for _, from := range []string{"bin", "pkg/tool"} {
		root := filepath.Join(goroot, from)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return f(from+strings.TrimPrefix(path, root), b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// random writes files of numbers.
func random(dir string, files, size int) error {
	r := rand.NewChaCha8([32]byte([]byte("bench of layers, with no entropy")))
	for i := range files {
		b := make([]byte, 0, size)
		for len(b) < size {
			b = binary.LittleEndian.AppendUint64(b, r.Uint64())
		}
		if err := writeFile(filepath.Join(dir, fmt.Sprintf("noise%d", i)), b); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// changeOne changes the middle one of the files of a directory, so that it differs from all earlier runs. It returns what puts it back.
func changeOne(dir string, run int) (func() error, error) {
	files, err := listFiles(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, files[len(files)/2])
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	changed := append(bytes.Clone(b), fmt.Sprintf("\n// changed, %d of %d\n", run, os.Getpid())...)
	return func() error { return os.WriteFile(path, b, 0o644) }, os.WriteFile(path, changed, 0o644)
}

// listFiles lists the files below a directory in order.
func listFiles(dir string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(dir)+"/"))
		}
		return err
	})
	return all, err
}
