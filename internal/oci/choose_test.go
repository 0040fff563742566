package oci

import (
	"strings"
	"testing"
)

func TestChooseTakesTheBestThatRuns(t *testing.T) {
	for _, row := range []struct{ want, have, chosen string }{
		{"linux/amd64", "linux/arm64 linux/amd64", "linux/amd64"},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v2"},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v3", "linux/amd64/v3"},
		{"linux/amd64/v3", "linux/amd64", "linux/amd64"},
		{"linux/amd64", "linux/amd64/v2", ""},
		{"linux/arm/v7", "linux/arm/v5 linux/arm/v6", "linux/arm/v6"},
		{"linux/arm/v8", "linux/arm/v5", "linux/arm/v5"},
		{"linux/arm/v6", "linux/arm/v7", ""},
		{"linux/arm/v7", "linux/arm", ""},
		{"linux/arm", "linux/arm", "linux/arm"},
		{"linux/arm64", "linux/arm64", "linux/arm64"},
		{"linux/arm64", "linux/arm64/v8", "linux/arm64/v8"},
		{"linux/arm64/v8", "linux/arm64/v8.1", ""},
		{"linux/arm64/v8.3", "linux/arm64 linux/arm64/v8.2 linux/arm64/v8.4", "linux/arm64/v8.2"},
		{"linux/arm64/v9.2", "linux/arm64 linux/arm64/v9", "linux/arm64/v9"},
		{"linux/arm64/v9.2", "linux/arm64/v8.7 linux/arm64/v9.3", "linux/arm64/v8.7"},
		{"linux/arm64/v9", "linux/arm64/v8.6 linux/arm64/v8.5", "linux/arm64/v8.5"},
		{"linux/arm64/v9.7", "linux/arm64/v8.9 linux/arm64", "linux/arm64/v8.9"},
		{"linux/arm64/v9", "linux/arm64", "linux/arm64"},
		{"linux/ppc64le/power9", "linux/ppc64le/power9 linux/ppc64le", "linux/ppc64le/power9"},
		{"linux/ppc64le/power9", "linux/ppc64le", ""},
		{"linux/s390x", "linux/amd64 linux/s390x", "linux/s390x"},
		{"windows/amd64", "linux/amd64", ""},
		{"linux/amd64/v99999999", "linux/amd64", ""},
	} {
		got, err := Choose(descriptors(row.have), mustPlatform(t, row.want))
		if row.chosen == "" {
			if err == nil {
				t.Errorf("%s of %s: chose %s; want an error", row.want, row.have, got.Annotations["raw"])
			}
			continue
		}
		if err != nil || got.Annotations["raw"] != row.chosen {
			t.Errorf("%s of %s: chose %q, %v; want %s", row.want, row.have, got.Annotations["raw"], err, row.chosen)
		}
	}
}

func TestChooseTakesTheFirstOfEquals(t *testing.T) {
	all := descriptors("linux/amd64 linux/amd64")
	all[0].Digest, all[1].Digest = DigestOf([]byte("first")), DigestOf([]byte("second"))
	got, err := Choose(all, mustPlatform(t, "linux/amd64"))
	if err != nil || got.Digest != all[0].Digest {
		t.Errorf("chose %s, %v; want the first", got.Digest, err)
	}
}

func TestChooseObeysTheVersionOfTheSystem(t *testing.T) {
	all := descriptors("windows/amd64 windows/amd64")
	all[0].Platform.OSVersion, all[1].Platform.OSVersion = "10.0.17763.1", "10.0.20348.9"
	want := Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348"}
	got, err := Choose(all, want)
	if err != nil || got.Platform.OSVersion != "10.0.20348.9" {
		t.Errorf("chose %v, %v", got.Platform, err)
	}
	want.OSVersion = "10.0.2"
	if got, err := Choose(all, want); err == nil {
		t.Errorf("chose %v for a version that is only a prefix of it as text", got.Platform)
	}
}

func TestChooseIgnoresAttestationsAndManifestsWithoutPlatform(t *testing.T) {
	all := append(descriptors("unknown/unknown"), Descriptor{})
	_, err := Choose(all, Platform{OS: "unknown", Architecture: "unknown"})
	if err == nil {
		t.Error("chose an attestation")
	}
}

func TestChooseErrorNamesWantedAndAvailable(t *testing.T) {
	_, err := Choose(descriptors("linux/arm64 linux/amd64 linux/amd64 unknown/unknown"), mustPlatform(t, "linux/s390x"))
	want := "no manifest for linux/s390x: there is linux/amd64, linux/arm64/v8"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v; want %s", err, want)
	}
}

// descriptors makes one descriptor a word, with the platform just as it is written: not normalised.
func descriptors(words string) []Descriptor {
	var out []Descriptor
	for word := range strings.FieldsSeq(words) {
		parts := append(strings.Split(word, "/"), "")
		p := &Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		out = append(out, Descriptor{Platform: p, Annotations: map[string]string{"raw": word}})
	}
	return out
}
