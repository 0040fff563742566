package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// executor runs actions.
type executor struct {
	repb.UnimplementedExecutionServer
	blobs   *store
	results *results
	slots   chan struct{} // as many as may run at once
	log     *sync.Mutex
}

func (e *executor) Execute(r *repb.ExecuteRequest, to repb.Execution_ExecuteServer) error {
	answer := &repb.ExecuteResponse{}
	if !r.SkipCacheLookup {
		answer.Result = e.results.get(r.ActionDigest)
		answer.CachedResult = answer.Result != nil
	}
	if answer.Result == nil {
		var err error
		answer.Result, err = e.execute(to.Context(), functionOf(r.DigestFunction), r.ActionDigest)
		answer.Status = status.Convert(err).Proto()
	}
	packed, err := anypb.New(answer)
	if err != nil {
		return err
	}
	return to.Send(&longrunningpb.Operation{
		Name: r.ActionDigest.GetHash(), Done: true, Result: &longrunningpb.Operation_Response{Response: packed},
	})
}

func (e *executor) execute(ctx context.Context, f function, digest *repb.Digest) (*repb.ActionResult, error) {
	var action repb.Action
	var command repb.Command
	if err := e.blobs.message(f, digest, &action); err != nil {
		return nil, err
	}
	if err := e.blobs.message(f, action.CommandDigest, &command); err != nil {
		return nil, err
	}
	if t := action.Timeout.AsDuration(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	result, err := e.run(ctx, f, &action, &command)
	if err != nil {
		return nil, err
	}
	e.report(ctx, result)
	if !action.DoNotCache && result.ExitCode == 0 {
		e.results.put(digest, result)
	}
	return result, nil
}

// report prints which action of Bazel's it was.
func (e *executor) report(ctx context.Context, result *repb.ActionResult) {
	var of repb.RequestMetadata
	md, _ := metadata.FromIncomingContext(ctx)
	for _, b := range md.Get("build.bazel.remote.execution.v2.requestmetadata-bin") {
		if proto.Unmarshal([]byte(b), &of) != nil {
			return
		}
	}
	e.log.Lock()
	defer e.log.Unlock()
	fmt.Println(result.ExitCode, of.ActionMnemonic, of.TargetId)
}

// run runs the command among its inputs and nothing else.
func (e *executor) run(ctx context.Context, f function, action *repb.Action, command *repb.Command) (*repb.ActionResult, error) {
	root, err := os.MkdirTemp(filepath.Join(e.blobs.dir, "run"), "action")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(root)
	if err := e.place(f, action.InputRootDigest, root); err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "inputs: %v", err)
	}
	dir := filepath.Join(root, command.WorkingDirectory)
	for _, out := range command.OutputPaths {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, out)), 0o755); err != nil {
			return nil, err
		}
	}
	var stdout, stderr bytes.Buffer
	cmd := prepare(ctx, dir, command)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	result := &repb.ActionResult{}
	if result.ExitCode, err = exitCode(ctx, cmd.Run()); err != nil {
		return nil, err
	}
	result.StdoutRaw, result.StderrRaw = stdout.Bytes(), stderr.Bytes()
	for _, out := range command.OutputPaths {
		if err := e.keep(f, result, dir, out); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func prepare(ctx context.Context, dir string, command *repb.Command) *exec.Cmd {
	program := command.Arguments[0]
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	cmd := exec.CommandContext(ctx, program, command.Arguments[1:]...)
	cmd.Args[0] = command.Arguments[0]
	cmd.Dir, cmd.Env = dir, []string{}
	for _, v := range command.EnvironmentVariables {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	return cmd
}

// exitCode is what became of a process that ended with err; an error when that was not its own doing.
func exitCode(ctx context.Context, err error) (int32, error) {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, status.FromContextError(ctx.Err()).Err()
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return 137, nil // killed
	case errors.As(err, &exit):
		return int32(exit.ExitCode()), nil
	case err != nil:
		return 0, status.Errorf(codes.FailedPrecondition, "%v", err)
	}
	return 0, nil
}
