package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
)

// The lockfile's place in the module, and its name in a release.
const (
	shippedLockfile = "img/private/repo/prebuilt_lockfile.json"
	lockfileName    = "prebuilt_lockfile.json"
)

// locked is an entry of a lockfile: a program for a platform.
type locked struct {
	Version      string   `json:"version"`
	Integrity    string   `json:"integrity"`
	OS           string   `json:"os"`
	CPU          string   `json:"cpu"`
	URLTemplates []string `json:"url_templates"`
	Tool         string   `json:"tool,omitempty"` // img, if empty
}

// writeLockfile writes what the rules read to find the programs: the tool first.
func (r *release) writeLockfile() error {
	var all []locked
	for _, program := range r.programs {
		for _, p := range r.platforms {
			sum, err := digest(filepath.Join(r.out, p.file(program)))
			if err != nil {
				return err
			}
			all = append(all, locked{
				Version:      r.version,
				Integrity:    integrity(sum),
				OS:           p.os,
				CPU:          p.cpu,
				URLTemplates: []string{r.url + "/" + program + "_{os}_{cpu}{extension}"},
				Tool:         map[bool]string{false: program}[program == "img"],
			})
		}
	}
	return r.writeJSON(lockfileName, all)
}

func (r *release) writeJSON(name string, value any) error {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return r.write(name, append(b, '\n'))
}

// digest is the SHA-256 of a file.
func digest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// integrity is a digest as Bazel and browsers write it.
func integrity(sum []byte) string {
	return "sha256-" + base64.StdEncoding.EncodeToString(sum)
}
