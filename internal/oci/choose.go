package oci

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Choose picks, from the manifests of an index, the one that runs best on want: the exact platform if it is
// there, otherwise the nearest lower variant of the same architecture that want can run.
//
//   - amd64 vN runs every lower level, v1 and no level at all;
//   - arm vN runs every lower version down to v5;
//   - arm64 v9.x runs v9.x down to v9, then those v8 that it includes (v9.x includes v8.x+5, the last is v8.9) down to v8.
//
// When want names a version of the system, only manifests for that version fit. Of equal manifests the first is taken.
// Attestations, which builders put beside images under the platform unknown/unknown, are never chosen.
// The error names want and the platforms there are.
func Choose(manifests []Descriptor, want Platform) (Descriptor, error) {
	want = NormalizePlatform(want)
	for _, variant := range ladder(want) {
		step := want
		step.Variant = variant
		if i := slices.IndexFunc(manifests, func(d Descriptor) bool { return fits(d, step) }); i >= 0 {
			return manifests[i], nil
		}
	}
	return Descriptor{}, fmt.Errorf("no manifest for %s: there is %s", FormatPlatform(want), available(manifests))
}

// ladder lists the variants that want can run, best first.
func ladder(want Platform) []string {
	switch want.Architecture {
	case "amd64":
		return amd64Ladder(want.Variant)
	case "arm":
		return armLadder(want.Variant)
	case "arm64":
		return arm64Ladder(want.Variant)
	}
	return []string{want.Variant}
}

func amd64Ladder(variant string) []string {
	level, ok := level(variant, "v")
	if !ok {
		return []string{variant}
	}
	return append(countDown("v", level, 1), "")
}

func armLadder(variant string) []string {
	version, ok := level(variant, "v")
	if !ok {
		return []string{variant}
	}
	return countDown("v", version, 5)
}

func arm64Ladder(variant string) []string {
	if minor, ok := arm64Minor(variant, "v8"); ok {
		return arm64Down("v8", minor)
	}
	if minor, ok := arm64Minor(variant, "v9"); ok {
		return append(arm64Down("v9", minor), arm64Down("v8", min(minor+5, 9))...)
	}
	return []string{variant}
}

func arm64Minor(variant, major string) (int, bool) {
	if variant == major {
		return 0, true
	}
	return level(variant, major+".")
}

func arm64Down(major string, minor int) []string {
	return append(countDown(major+".", minor, 1), major)
}

func countDown(prefix string, from, to int) []string {
	var steps []string
	for n := from; n >= to; n-- {
		steps = append(steps, prefix+strconv.Itoa(n))
	}
	return steps
}

// level reads the one digit after prefix. No architecture has more levels, and a hostile number can't make a long ladder.
func level(variant, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(variant, prefix)
	if !ok || len(digits) != 1 || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	return int(digits[0] - '0'), true
}

func fits(d Descriptor, want Platform) bool {
	if !isImage(d) {
		return false
	}
	have := NormalizePlatform(*d.Platform)
	return have.OS == want.OS && have.Architecture == want.Architecture && have.Variant == want.Variant &&
		isVersion(have.OSVersion, want.OSVersion)
}

// isVersion reports whether have is the version want or a build of it, as 10.0.17763.1 is of 10.0.17763.
func isVersion(have, want string) bool {
	return want == "" || have == want || strings.HasPrefix(have, want+".")
}

func isImage(d Descriptor) bool {
	return d.Platform != nil && !(d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown")
}

// available names the platforms of manifests for a person, each once.
func available(manifests []Descriptor) string {
	var names []string
	for _, d := range manifests {
		if !isImage(d) {
			continue
		}
		name := FormatPlatform(NormalizePlatform(*d.Platform))
		if d.Platform.OSVersion != "" {
			name += " (" + d.Platform.OSVersion + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "no manifest with a platform"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
