package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// printStatus prints what was accepted and what became of it: a line of JSON for each plan. The server may run meanwhile, or not.
func printStatus(p process) error {
	flags := flag.NewFlagSet("bes status", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	state := flags.String("state", "", "`directory` of the server")
	invocation := flags.String("invocation", "", "only what this `build` asked for")
	only := flags.String("only", "", "only what is in this `state`: accepted, done or failed")
	if err := flags.Parse(p.Args); err != nil {
		return err
	}
	if *state == "" || flags.NArg() > 0 {
		return errors.New("want bes status --state DIRECTORY")
	}
	jobs, broken, err := bes.ReadJobs(jobsIn(*state))
	if err != nil {
		return err
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	for _, j := range jobs {
		if *invocation != "" && j.Invocation != *invocation || *only != "" && j.State != *only {
			continue
		}
		j.Plan.Contents = nil
		text.Reset()
		if err := out.Encode(j); err != nil {
			return err
		}
		if _, err := p.Stdout.Write(progress.JSON(text.Bytes())); err != nil {
			return err
		}
	}
	for _, err := range broken {
		fmt.Fprintf(p.Stderr, "bes: lost: %s\n", progress.Plain(err.Error()))
	}
	return nil
}
