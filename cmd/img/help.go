package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	helpOfInspect = `IMAGE is an image in a registry, or the path of an OCI image layout (a directory
or a tar) or of what docker save wrote. What is there as a file is one; put ./
before a path, or write a registry's name out, where that is not clear.

Of an index the platforms are listed, and --platform chooses one. Of an image
each layer is shown as a tree with sizes, the largest first; then what is stored
more than once, and what later layers hide. Layers with an index (eStargz,
zstd:chunked) are known by it alone, others are read.`
	helpOfDiff = `Compares manifests, configs, layers, and the files that a container would see:
what was added (+), removed (-) and changed (~) in content, mode, owner, target
or attributes. Times are not compared. Two indexes are compared for each platform
that both have. No layer is read when the layers of both unpack to the same.

The exit status is 0 when the images are the same to the last byte, 1 when they
are not, and 2 when that could not be found out. IMAGE is as for img inspect.`
	helpOfValidate = `Reads all of an image and checks the digest and the size of every blob, the
structure of manifests, configs and the layout by the OCI specifications, that
layers are compressed as their types say and have the diff IDs of the config, and
that each file is where the index of an eStargz or zstd:chunked layer has it.

The exit status is 0 when nothing is wrong (there may be warnings), 1 when there
is, and 2 when that could not be found out. IMAGE is as for img inspect.`
	helpOfDeploy = `PLAN is what an image_push, image_load or multi_deploy target has in its output
group deploy_manifest. Run the target instead: bazel run //the:target -- FLAGS.`
	helpOfPull = `The directory gets the manifests and configs at blobs/sha256/HEX, as in an OCI
image layout, and no layers: those are pulled by --blob. The descriptor of each
manifest is printed.`
	helpOfAuthorize  = `Prints a line of JSON for each registry. It holds secrets.`
	helpOfCompletion = `SHELL is bash, zsh or fish:

  bash: source <(img completion bash)     in ~/.bashrc
  zsh:  source <(img completion zsh)      in ~/.zshrc, after compinit
  fish: img completion fish | source      in ~/.config/fish/config.fish`
	helpOfRequests = `Bazel's actions run this verb. A request alone repeats the action: bazel build
with --subcommands shows where it is, and docs/formats/request.md what is in it.`
)

func verbNamed(name string) (verb, bool) {
	all := verbs()
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == name })
	if i < 0 {
		return verb{}, false
	}
	return all[i], true
}

func asksForHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" })
}

// runHelp explains a verb, or lists them.
func runHelp(_ context.Context, p process) error {
	if len(p.Args) == 0 {
		usage(p.Stdout)
		return nil
	}
	v, ok := verbNamed(p.Args[0])
	if !ok {
		return unknownVerb(p.Args[0])
	}
	return v.explain(p.Stdout)
}

func usage(w io.Writer) {
	fmt.Fprint(w, "img builds container images, moves them, and looks into them.\n\nusage: img VERB …\n\n")
	for i, v := range verbs() {
		if v.args == aRequest && verbs()[i-1].args != aRequest {
			fmt.Fprint(w, "\nBazel's actions run these, each with a request:\n\n")
		}
		fmt.Fprintf(w, "  %-16s %s\n", v.name, v.help)
	}
	fmt.Fprint(w, "\nimg help VERB says more. Registries' credentials are those of docker login.\n")
}

// explain is the help of a verb.
func (v verb) explain(w io.Writer) error {
	line := "usage: img " + v.name
	if v.args != "" {
		line += " " + v.args
	}
	if v.flags != nil {
		line += " [FLAGS]"
	}
	what := v.more
	if v.args == aRequest {
		what = helpOfRequests
	}
	fmt.Fprintf(w, "%s\n\n%s%s.\n", line, strings.ToUpper(v.help[:1]), v.help[1:])
	if what != "" {
		fmt.Fprintf(w, "\n%s\n", what)
	}
	if v.flags != nil {
		fmt.Fprint(w, "\nFlags:\n")
		v.flags().VisitAll(func(f *flag.Flag) { explainFlag(w, f) })
	}
	return nil
}

func explainFlag(w io.Writer, f *flag.Flag) {
	value, text := flag.UnquoteUsage(f)
	name := "--" + f.Name
	if len(f.Name) == 1 {
		name = "-" + f.Name
	}
	if value != "" {
		name += " " + strings.ToUpper(value)
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
		text += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(w, "  %s\n      %s\n", name, wrapped(text, 72, "\n      "))
}

// wrapped breaks text between words.
func wrapped(text string, columns int, newline string) string {
	var out strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > columns:
			out.WriteString(newline)
			at = 0
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(word)
		at += len(word)
	}
	return out.String()
}

// unknownVerb says which verb may have been meant.
func unknownVerb(name string) error {
	nearest, least := "", 3
	for _, v := range verbs() {
		d := distance(name, v.name)
		if name != "" && strings.HasPrefix(v.name, name) {
			d = 1
		}
		if d < least {
			nearest, least = v.name, d
		}
	}
	if nearest != "" {
		return fmt.Errorf("%q is not a verb: did you mean %s? img help lists all", name, nearest)
	}
	return fmt.Errorf("%q is not a verb: img help lists them", name)
}

// distance is how many letters must be added, removed or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0]++
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
