package main

import (
	"bytes"
	"errors"
	"testing"
)

type hinted struct{ error }

func (hinted) Hint() string { return "run \x1b]0;this\x07" }

func TestWhatAStrangerSaysControlsNoTerminal(t *testing.T) {
	var b bytes.Buffer
	complain(&b, errors.Join(errors.New("push: it said \x1b[2J\r\u009b\u202egood\x9b"), hinted{errors.New("ü 層\t1")}))
	want := "img: push: it said  [2J   good\ufffd\nimg: ü 層 1\nimg: hint: run  ]0;this \n"
	if b.String() != want {
		t.Errorf("printed %q; want %q", &b, want)
	}
}
