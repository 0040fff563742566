package store

import (
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Behind a load balancer one process begins what another ends.
func TestUploadsThatAnotherProcessEndedAreForgotten(t *testing.T) {
	root := t.TempDir()
	var processes [2]*Store
	var repositories [2]Repository
	for i := range processes {
		var err error
		if processes[i], err = Open(root, Limits{}); err != nil {
			t.Fatal(err)
		}
		if repositories[i], err = processes[i].Repository("a"); err != nil {
			t.Fatal(err)
		}
	}
	begun, err := repositories[0].StartUpload()
	if err != nil {
		t.Fatal(err)
	}
	begun.Close()
	if err := processes[0].Sweep(time.Now()); err != nil || len(processes[0].uploads.hashed) != 1 {
		t.Errorf("%d uploads are remembered, %v: want that which is not finished", len(processes[0].uploads.hashed), err)
	}
	upload, err := repositories[1].Upload(begun.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := upload.Append(t.Context(), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := upload.Finish(t.Context(), oci.DigestOf([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if err := processes[0].Sweep(time.Now()); err != nil || len(processes[0].uploads.hashed) != 0 {
		t.Errorf("%d uploads are remembered, %v: want none", len(processes[0].uploads.hashed), err)
	}
}
