package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// script is where the completion of a shell is.
func script(t *testing.T, shell string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), testProcess(nil, &out, "completion", shell)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "img."+shell)
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// inShell runs a real shell on a program, and returns what it prints.
func inShell(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + cmd.Dir, "TERM=dumb"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	got := inShell(t, nil, bash, "--norc", "-c", `source "$0"
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _img; echo "${COMPREPLY[*]}"; }
try img ins; try img inspect --pl; try img inspect ""; try img completion ""; try img help val; try img layer -; complete -p img`, script(t, "bash"))
	want := "inspect\n--platform\n\nbash zsh fish\nvalidate\n\ncomplete -o bashdefault -o default -F _img img\n"
	if got != want {
		t.Errorf("bash completes\n%s; want\n%s", got, want)
	}
}

func TestFishCompletes(t *testing.T) {
	root := shells(t)
	got := inShell(t, root.env, root.path("usr/bin/fish"), "--no-config", "-c", `source `+script(t, "fish")+`
complete -C "img ins"; complete -C "img inspect --pl"; complete -C "img completion z"; complete -C "img inspect --shallow --al"`)
	want := "inspect\tsay what is in an image, layer by layer\n--platform\tof an index, only the image for this os/arch[/variant]\nzsh\n--all\tall of each tree and list, not only what is largest\n"
	if got != want {
		t.Errorf("fish completes\n%s; want\n%s", got, want)
	}
}

// zshDriver types lines with a tab behind each into a zsh on a terminal of its own, whose img prints what it is called with.
const zshDriver = `module_path=($ROOT/usr/lib/*/zsh/*(/N) $module_path)
zmodload zsh/zpty
zpty z "$ROOT/bin/zsh -f -i"
zpty -w z "module_path=($module_path); zmodload zsh/zle; setopt zle; fpath=($ROOT/usr/share/zsh/functions/{Completion,Completion/*,Zle,Misc}); autoload -Uz compinit; compinit -u -D; img() { print RAN:\$* }; source $SCRIPT; print REA''DY"
zpty -r -m z out '*READY*'
for line in "$@"; do
  zpty -w -n z "$line"$'\t'
  zpty -w z ' end'
  zpty -r -m z out '*RAN:*end*'
  print -r -- ${${(f)out}[(r)RAN:*]%%$'\r'}
done
zpty -d z
`

func TestZshCompletes(t *testing.T) {
	root := shells(t)
	driver := filepath.Join(t.TempDir(), "driver")
	if err := os.WriteFile(driver, []byte(zshDriver), 0o644); err != nil {
		t.Fatal(err)
	}
	env := append(root.env, "ROOT="+root.dir, "SCRIPT="+script(t, "zsh"))
	got := inShell(t, env, root.path("bin/zsh"), "-f", driver, "img ins", "img inspect --pl", "img completion fi", "img help auth")
	want := "RAN:inspect end\nRAN:inspect --platform end\nRAN:completion fish end\nRAN:help authorize end\n"
	if strings.ReplaceAll(got, "\r", "") != want {
		t.Errorf("zsh completes\n%q; want\n%q", got, want)
	}
}

// tree has the files of Debian packages, which are installed nowhere.
type tree struct {
	dir string
	env []string
}

func (r tree) path(name string) string { return filepath.Join(r.dir, name) }

// shells are zsh and fish of Debian, fetched once.
func shells(t *testing.T) tree {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("zsh and fish are fetched for Linux on amd64 alone")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("zsh and fish are fetched by apt-get, which is not here")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "rules_img", "shells-1")
	if _, err := os.Stat(dir); err != nil {
		if err := fetchShells(dir); err != nil {
			t.Fatalf("zsh and fish of Debian are not to be had: %v", err)
		}
	}
	return tree{dir, []string{"LD_LIBRARY_PATH=" + dir + "/usr/lib/x86_64-linux-gnu:" + dir + "/lib/x86_64-linux-gnu"}}
}

// fetchShells unpacks beside the place and renames, so that two tests at once do no harm.
func fetchShells(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(dir), ".shells-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	apt, err := filepath.Abs("../../tools/debian/private-apt")
	if err != nil {
		return err
	}
	cmd := exec.Command("sh", "-ec", `"$0" apt bookworm amd64
apt-get -qq -c apt/apt.conf download zsh zsh-common fish fish-common libpcre2-32-0 libcap2 libtinfo6
for deb in *.deb; do dpkg-deb -x "$deb" root; done
cp -r root/etc root/usr/etc # where a fish that was moved looks for it`, apt)
	cmd.Dir = scratch
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(scratch, "root"), dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil
		}
		return err
	}
	return nil
}
