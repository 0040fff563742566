package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

func git(root string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", root, "-c", "safe.directory=*"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}

// commitTime is the time that a release has: $SOURCE_DATE_EPOCH, or that of the commit.
func commitTime(root string) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := git(root, "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, err
		}
		text = strings.TrimSpace(out)
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("the time of the release is %q: want seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// checkCommitted fails when the checkout is not what its commit is.
func checkCommitted(root string) error {
	out, err := git(root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if out != "" {
		return fmt.Errorf("a release is made of what is committed, and this is not:\n%s", out)
	}
	return nil
}

// committed lists files of the checkout below paths, in order, by their names with slashes. With --dirty, files that are new are among them.
func committed(root string, paths []string) ([]string, error) {
	out, err := git(root, append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"}, paths...)...)
	if err != nil {
		return nil, err
	}
	names := strings.FieldsFunc(out, func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := os.Lstat(root + "/" + name)
		return err == nil && !info.Mode().IsRegular() || os.IsNotExist(err)
	}), nil
}
