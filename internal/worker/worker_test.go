package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func serve(t *testing.T, requests string, run Run) ([]response, error) {
	t.Helper()
	var out strings.Builder
	err := Serve(t.Context(), strings.NewReader(requests), &out, run)
	var all []response
	for line := range strings.Lines(out.String()) {
		var r response
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b response) int { return a.ID - b.ID })
	return all, err
}

// TestARequestOfBazel is one that Bazel 7.7 wrote.
func TestARequestOfBazel(t *testing.T) {
	const request = `{"arguments":["@bazel-out/k8-fastbuild/bin/a.request"],"inputs":[{"path":"a.txt","digest":"ZTNiMGM0"}],"requestId":7,"sandboxDir":"__sandbox/3/_main"}`
	var got Request
	responses, err := serve(t, request, func(_ context.Context, r Request, talk io.Writer) error { got = r; return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		Arguments: []string{"@bazel-out/k8-fastbuild/bin/a.request"}, Inputs: []Input{{"a.txt", []byte("e3b0c4")}}, ID: 7, Dir: "__sandbox/3/_main",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]response{{ID: 7}}, responses); d != "" {
		t.Errorf("responses (-want +got):\n%s", d)
	}
}

func TestTalkIsTheOutput(t *testing.T) {
	responses, err := serve(t, `{"requestId":1} {"requestId":2}`, func(_ context.Context, r Request, talk io.Writer) error {
		if r.ID == 2 {
			io.WriteString(talk, "img: layer //a: no such file\n")
			return errors.New("no such file")
		}
		io.WriteString(talk, "img: careful\n")
		return nil
	})
	if d := cmp.Diff([]response{{ID: 1, Output: "img: careful\n"}, {ID: 2, ExitCode: 1, Output: "img: layer //a: no such file\n"}}, responses); d != "" || err != nil {
		t.Errorf("%v, responses (-want +got):\n%s", err, d)
	}
}

// TestRequestsRunBesideEachOther has the first of two wait for the second.
func TestRequestsRunBesideEachOther(t *testing.T) {
	second := make(chan struct{})
	responses, err := serve(t, "{\"requestId\":1}\n{\"requestId\":2}\n", func(_ context.Context, r Request, talk io.Writer) error {
		if r.ID == 2 {
			close(second)
		}
		<-second
		return nil
	})
	if len(responses) != 2 || err != nil {
		t.Errorf("responses are %v, %v", responses, err)
	}
}

// TestACancelledRequestIsAnsweredOnce cancels one that would never end, and one that ended long before.
func TestACancelledRequestIsAnsweredOnce(t *testing.T) {
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(t.Context(), in, out, func(ctx context.Context, r Request, _ io.Writer) error {
			if r.ID == 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		out.Close()
	}()
	lines := bufio.NewScanner(answers)
	exchange := func(request, want string) {
		t.Helper()
		io.WriteString(requests, request)
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("the answer is %s: want %s", lines.Text(), want)
		}
	}
	exchange(`{"requestId":1}`, `{"exitCode":0,"requestId":1}`)
	io.WriteString(requests, `{"requestId":1,"cancel":true} {"requestId":9,"cancel":true}`)
	exchange(`{"requestId":2} {"requestId":2,"cancel":true}`, `{"exitCode":0,"requestId":2,"wasCancelled":true}`)
	requests.Close()
	if lines.Scan() {
		t.Errorf("there is one more answer: %s", lines.Text())
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the worker did not end with its input")
	}
}

func TestABadRequestEndsTheWorker(t *testing.T) {
	ended := false
	_, err := serve(t, `{"requestId":1} nonsense`, func(ctx context.Context, _ Request, _ io.Writer) error {
		<-ctx.Done()
		ended = true
		return ctx.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "worker: request: ") || !ended {
		t.Errorf("error is %v, and the other request ended: %v", err, ended)
	}
}

func TestCancellingEndsTheWorker(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, requests := io.Pipe()
	go func() {
		io.WriteString(requests, `{"requestId":1}`)
		cancel()
	}()
	err := Serve(ctx, in, io.Discard, func(ctx context.Context, _ Request, _ io.Writer) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestAWorkerThatCannotAnswerFails(t *testing.T) {
	in := strings.NewReader(`{"requestId":1}`)
	err := Serve(t.Context(), in, closed{}, func(context.Context, Request, io.Writer) error { return nil })
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error is %v", err)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzServe(f *testing.F) {
	f.Add(`{"requestId":1,"inputs":[{"path":"a","digest":"AA=="}]}{"cancel":true,"requestId":1}`)
	f.Fuzz(func(t *testing.T, in string) {
		Serve(t.Context(), strings.NewReader(in), io.Discard, func(context.Context, Request, io.Writer) error { return nil })
	})
}
