package main

import (
	"bytes"
	"encoding/json"
	"os"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// resultFile is what --result-file gets. docs/formats/result.md describes it.
type resultFile struct {
	Version    int               `json:"version"`
	DryRun     bool              `json:"dry_run"`
	Operations []operationResult `json:"operations"`
	// Sources are where bytes were read from, all operations together.
	Sources []sourceResult `json:"sources"`
}

type operationResult struct {
	Target string `json:"target"`
	Kind   string `json:"kind"`
	Place  string `json:"place,omitempty"`
	Digest string `json:"digest"`
	// Reference is the image by digest, and Names its other names; only what was really done is there.
	Reference string   `json:"reference,omitempty"`
	Names     []string `json:"names"`
	Moved     amount   `json:"moved"`
	Mounted   amount   `json:"mounted"`
	Present   amount   `json:"present"`
	Error     string   `json:"error,omitempty"`
}

type sourceResult struct {
	Name string `json:"name"`
	amount
}

type amount struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

func writeResults(path string, dryRun bool, results []deploy.Result, from []blob.SourceTally) error {
	out := resultFile{Version: 1, DryRun: dryRun, Operations: []operationResult{}, Sources: []sourceResult{}}
	for _, r := range results {
		out.Operations = append(out.Operations, operation(r))
	}
	for _, t := range from {
		out.Sources = append(out.Sources, sourceResult{t.Name, amount(t.Tally)})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func operation(r deploy.Result) operationResult {
	out := operationResult{
		Target: r.Operation.Name, Kind: r.Operation.Kind, Place: r.Place, Digest: string(r.Operation.Root.Digest), Names: []string{},
		Moved: amount(r.Report.Moved), Mounted: amount(r.Report.Mounted), Present: amount(r.Report.Present),
	}
	if len(r.Names) > 0 {
		out.Reference = r.Names[0]
		out.Names = append(out.Names, r.Names[1:]...)
	}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	return out
}
