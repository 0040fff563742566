package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
)

// place makes the directory of an action's inputs. They are read-only, as in Bazel's own sandboxes.
func (e *executor) place(f function, digest *repb.Digest, at string) error {
	var dir repb.Directory
	if err := e.blobs.message(f, digest, &dir); err != nil {
		return err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	for _, file := range dir.Files {
		if err := e.placeFile(f, file.Digest, filepath.Join(at, file.Name)); err != nil {
			return err
		}
	}
	for _, link := range dir.Symlinks {
		if err := os.Symlink(link.Target, filepath.Join(at, link.Name)); err != nil {
			return err
		}
	}
	for _, sub := range dir.Directories {
		if err := e.place(f, sub.Digest, filepath.Join(at, sub.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (e *executor) placeFile(f function, digest *repb.Digest, at string) error {
	from, err := e.blobs.open(f, digest)
	if err != nil {
		return err
	}
	defer from.Close()
	// A process that is forked meanwhile would have the file open for writing until it executes its own program, and a file that is
	// open for writing can't be executed.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o555)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}

// keep puts an output into the storage. One that is not there is left out: Bazel says what that means.
func (e *executor) keep(f function, result *repb.ActionResult, dir, out string) error {
	path := filepath.Join(dir, out)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		result.OutputSymlinks = append(result.OutputSymlinks, &repb.OutputSymlink{Path: out, Target: target})
		return err
	case info.IsDir():
		digest, err := e.keepTree(f, path)
		result.OutputDirectories = append(result.OutputDirectories, &repb.OutputDirectory{Path: out, TreeDigest: digest})
		return err
	}
	digest, err := e.keepFile(f, path)
	result.OutputFiles = append(result.OutputFiles, &repb.OutputFile{Path: out, Digest: digest, IsExecutable: info.Mode()&0o111 != 0})
	return err
}

func (e *executor) keepFile(f function, path string) (*repb.Digest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return e.blobs.put(f, file)
}

func (e *executor) keepMessage(f function, m proto.Message) (*repb.Digest, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return e.blobs.put(f, bytes.NewReader(b))
}

func (e *executor) keepTree(f function, path string) (*repb.Digest, error) {
	var tree repb.Tree
	root, err := e.directory(f, path, &tree)
	if err != nil {
		return nil, err
	}
	tree.Root = root
	return e.keepMessage(f, &tree)
}

// directory keeps what is in a directory and adds those below it to tree. ReadDir sorts by name, as the API wants it.
func (e *executor) directory(f function, path string, tree *repb.Tree) (*repb.Directory, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	dir := &repb.Directory{}
	for _, entry := range entries {
		if err := e.entry(f, dir, filepath.Join(path, entry.Name()), entry, tree); err != nil {
			return nil, err
		}
	}
	return dir, nil
}

func (e *executor) entry(f function, dir *repb.Directory, path string, entry fs.DirEntry, tree *repb.Tree) error {
	switch {
	case entry.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		dir.Symlinks = append(dir.Symlinks, &repb.SymlinkNode{Name: entry.Name(), Target: target})
		return err
	case entry.IsDir():
		child, err := e.directory(f, path, tree)
		if err != nil {
			return err
		}
		tree.Children = append(tree.Children, child)
		digest, err := e.keepMessage(f, child)
		dir.Directories = append(dir.Directories, &repb.DirectoryNode{Name: entry.Name(), Digest: digest})
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	digest, err := e.keepFile(f, path)
	dir.Files = append(dir.Files, &repb.FileNode{Name: entry.Name(), Digest: digest, IsExecutable: info.Mode()&0o111 != 0})
	return err
}
