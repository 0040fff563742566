package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// runCompletion prints the script by which a shell completes verbs and flags.
func runCompletion(_ context.Context, p process) error {
	if len(p.Args) != 1 {
		return errors.New("completion: want a shell: bash, zsh or fish")
	}
	switch p.Args[0] {
	case "bash":
		completeBash(p.Stdout, verbs())
	case "zsh":
		completeZsh(p.Stdout, verbs())
	case "fish":
		completeFish(p.Stdout, verbs())
	default:
		return fmt.Errorf("completion: %q: want bash, zsh or fish", p.Args[0])
	}
	return nil
}

// words are what may follow a verb besides files.
func (v verb) words() []string {
	switch v.name {
	case "help":
		var names []string
		for _, v := range verbs() {
			names = append(names, v.name)
		}
		return names
	case "completion":
		return []string{"bash", "zsh", "fish"}
	}
	return nil
}

func (v verb) eachFlag(do func(name string, takes bool, text string)) {
	if v.flags == nil {
		return
	}
	v.flags().VisitAll(func(f *flag.Flag) {
		_, text := flag.UnquoteUsage(f)
		b, isBool := f.Value.(interface{ IsBoolFlag() bool })
		do(f.Name, !isBool || !b.IsBoolFlag(), text)
	})
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func completeBash(w io.Writer, all []verb) {
	fmt.Fprint(w, "# bash completion of img\n_img() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words=\n  case $COMP_CWORD:${COMP_WORDS[1]} in\n")
	var names []string
	for _, v := range all {
		names = append(names, v.name)
	}
	fmt.Fprintf(w, "    1:*) words=%s ;;\n", quoted(strings.Join(names, " ")))
	for _, v := range all {
		words := v.words()
		v.eachFlag(func(name string, _ bool, _ string) { words = append(words, dashed(name)) })
		if len(words) > 0 {
			fmt.Fprintf(w, "    *:%s) words=%s ;;\n", v.name, quoted(strings.Join(words, " ")))
		}
	}
	// Flags are offered to whoever has begun one; without a match bash completes files.
	fmt.Fprint(w, `  esac
  COMPREPLY=()
  local word
  for word in $words; do
    [[ $word != -* || $cur == -* ]] && [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
  done
  return 0
}
complete -o bashdefault -o default -F _img img
`)
}

func completeZsh(w io.Writer, all []verb) {
	fmt.Fprint(w, "#compdef img\n_img() {\n  local -a verbs=(\n")
	for _, v := range all {
		fmt.Fprintf(w, "    %s\n", quoted(v.name+":"+v.help))
	}
	fmt.Fprint(w, "  )\n  if (( CURRENT == 2 )); then\n    _describe verb verbs\n    return\n  fi\n  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n")
	for _, v := range all {
		specs := []string{}
		v.eachFlag(func(name string, takes bool, text string) {
			spec := "*" + dashed(name) + "[" + strings.NewReplacer("[", `\[`, "]", `\]`).Replace(text) + "]"
			if takes {
				spec += ": :_files"
			}
			specs = append(specs, quoted(spec))
		})
		rest := "*: :_files"
		if words := v.words(); words != nil {
			rest = "*: :(" + strings.Join(words, " ") + ")"
		}
		fmt.Fprintf(w, "    %s) _arguments %s ;;\n", v.name, strings.Join(append(specs, quoted(rest)), " "))
	}
	fmt.Fprint(w, "  esac\n}\nif [ \"$funcstack[1]\" = _img ]; then _img \"$@\"; else compdef _img img; fi\n")
}

func completeFish(w io.Writer, all []verb) {
	fmt.Fprint(w, "# fish completion of img\ncomplete -c img -e\n")
	for _, v := range all {
		fmt.Fprintf(w, "complete -c img -f -n __fish_use_subcommand -a %s -d %s\n", v.name, quoted(v.help))
		seen := quoted("__fish_seen_subcommand_from " + v.name)
		if words := v.words(); words != nil {
			fmt.Fprintf(w, "complete -c img -f -n %s -a %s\n", seen, quoted(strings.Join(words, " ")))
		}
		v.eachFlag(func(name string, takes bool, text string) {
			kind := "-l"
			if len(name) == 1 {
				kind = "-s"
			}
			fmt.Fprintf(w, "complete -c img -n %s %s %s -d %s", seen, kind, name, quoted(text))
			if takes {
				fmt.Fprint(w, " -r")
			}
			fmt.Fprintln(w)
		})
	}
}

// quoted is text as one word for all these shells, none of whose words here has an apostrophe.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "’") + "'" }
