package bes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bazel-contrib/rules_img/proto/bep"
)

const (
	// askedGroup is the output group that has nothing but plans.
	askedGroup = "deploy_manifest"
	// defaultGroup is the one that a plain build makes. What is a plan there is known by its name.
	defaultGroup = "default"
	planSuffix   = ".plan.json"
)

// plansOf are the jobs of a target that was built: each plan once, even if several groups have it.
func plansOf(invocation string, id *bep.BuildEventId_TargetCompletedId, completed *bep.TargetComplete, s *sets) ([]Job, error) {
	if !completed.GetSuccess() || id.GetAspect() != "" {
		return nil, nil
	}
	at := map[string]int{}
	var jobs []Job
	for _, group := range completed.GetOutputGroup() {
		files, err := planFiles(group, s)
		if err != nil {
			return nil, fmt.Errorf("%s: output group %s: %w", id.GetLabel(), group.GetName(), err)
		}
		asked := group.GetName() == askedGroup
		for _, f := range files {
			j := Job{Invocation: invocation, Target: id.GetLabel(), Plan: fileOf(f), Asked: asked}
			key := j.Plan.identity()
			if i, known := at[key]; known {
				jobs[i].Asked = jobs[i].Asked || asked
				continue
			}
			at[key] = len(jobs)
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

func planFiles(group *bep.OutputGroup, s *sets) (plans []*bep.File, err error) {
	all := group.GetName() == askedGroup
	if group.GetIncomplete() || !all && group.GetName() != defaultGroup {
		return nil, nil
	}
	take := func(f *bep.File) {
		if all || isPlan(f) {
			plans = append(plans, f)
		}
	}
	for _, f := range group.GetInlineFiles() {
		take(f)
	}
	return plans, s.walk(group.GetFileSets(), !all, take)
}

func isPlan(f *bep.File) bool { return strings.HasSuffix(f.GetName(), planSuffix) }

func fileOf(f *bep.File) File {
	return File{Name: f.GetName(), URI: f.GetUri(), Contents: f.GetContents()}
}

// identity tells files apart: what has one place, or the same contents, is one file.
func (f File) identity() string {
	if f.URI != "" {
		return f.URI
	}
	sum := sha256.Sum256(f.Contents)
	return hex.EncodeToString(sum[:])
}

// id is the same whenever the same build names the same plan.
func (j Job) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %v", j.Invocation, j.Plan.identity(), j.Asked))
	return hex.EncodeToString(sum[:16])
}
