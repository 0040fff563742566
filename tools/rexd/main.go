// Command rexd executes actions for tests of remote execution: a small server of the Remote Execution API with its own storage.
//
//	rexd --dir DIR [--port PORT] [--jobs N]
//
// It prints its address on stdout and then a line for each action: the worker's exit status, mnemonic and target as Bazel names them. An action
// runs in a directory with nothing but its declared inputs, and only its declared outputs are kept. Nothing else isolates it, and there is no
// authentication: rexd trusts its clients and listens on loopback only.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rexd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("rexd", flag.ContinueOnError)
	dir := flags.String("dir", "", "`directory` for blobs and running actions")
	port := flags.Int("port", 0, "`port` on loopback; 0 is any that is free")
	jobs := flags.Int("jobs", 2, "how many actions run at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("--dir is not set")
	}
	blobs, err := newStore(*dir)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return serve(l, blobs, *jobs)
}

func serve(l net.Listener, blobs *store, jobs int) error {
	results := &results{known: map[string]*repb.ActionResult{}}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	repb.RegisterCapabilitiesServer(g, capabilities{})
	repb.RegisterContentAddressableStorageServer(g, &storage{blobs: blobs})
	bytestream.RegisterByteStreamServer(g, &streams{blobs: blobs})
	repb.RegisterActionCacheServer(g, results)
	repb.RegisterExecutionServer(g, &executor{blobs: blobs, results: results, slots: make(chan struct{}, jobs), log: &sync.Mutex{}})
	return g.Serve(l)
}
