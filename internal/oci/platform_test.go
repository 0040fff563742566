package oci

import (
	"slices"
	"testing"
)

func TestParsePlatform(t *testing.T) {
	for in, want := range map[string]Platform{
		"linux/amd64":      {OS: "linux", Architecture: "amd64"},
		"linux/amd64/v3":   {OS: "linux", Architecture: "amd64", Variant: "v3"},
		"linux/arm/v7":     {OS: "linux", Architecture: "arm", Variant: "v7"},
		"linux/arm64":      {OS: "linux", Architecture: "arm64", Variant: "v8"},
		"linux/arm64/v8.0": {OS: "linux", Architecture: "arm64", Variant: "v8"},
		"linux/arm64/v9.0": {OS: "linux", Architecture: "arm64", Variant: "v9"},
		"linux/arm64/v9.2": {OS: "linux", Architecture: "arm64", Variant: "v9.2"},
		"windows/amd64":    {OS: "windows", Architecture: "amd64"},
	} {
		got, err := ParsePlatform(in)
		if err != nil || !equalPlatforms(got, want) {
			t.Errorf("ParsePlatform(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestParsePlatformRefusesWhatIsNone(t *testing.T) {
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/amd 64", "linux/arm64/"} {
		if got, err := ParsePlatform(in); err == nil {
			t.Errorf("ParsePlatform(%q) = %v; want an error", in, got)
		}
	}
}

func TestComparePlatformsOrdersBySystemThenArchitectureThenVariant(t *testing.T) {
	var got []Platform
	for _, s := range []string{"windows/amd64", "linux/arm64", "linux/arm/v7", "linux/amd64/v2", "linux/arm/v6", "linux/amd64"} {
		got = append(got, mustPlatform(t, s))
	}
	slices.SortFunc(got, ComparePlatforms)
	want := []string{"linux/amd64", "linux/amd64/v2", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "windows/amd64"}
	for i, p := range got {
		if FormatPlatform(p) != want[i] {
			t.Errorf("at %d is %s; want %s", i, FormatPlatform(p), want[i])
		}
	}
}

func FuzzParsePlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/arm64/v8.0", "a/b/c/d", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePlatform(s)
		if err != nil {
			return
		}
		again, err := ParsePlatform(FormatPlatform(p))
		if err != nil || !equalPlatforms(p, again) {
			t.Errorf("%q is %v, formatted and parsed again %v, %v", s, p, again, err)
		}
	})
}

func equalPlatforms(a, b Platform) bool { return ComparePlatforms(a, b) == 0 }

func mustPlatform(t *testing.T, s string) Platform {
	t.Helper()
	p, err := ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
