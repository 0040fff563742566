// Command stargz-grpc serves the snapshotter of the stargz-snapshotter project, as its containerd-stargz-grpc does, whose module many proxies do not
// have. It knows three flags and the original's configuration file.
package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"os/signal"
	"syscall"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/contrib/snapshotservice"
	"github.com/containerd/log"
	"github.com/containerd/stargz-snapshotter/service"
	"github.com/pelletier/go-toml/v2"
	"google.golang.org/grpc"
)

func main() {
	address := flag.String("address", "", "`socket` to listen on")
	root := flag.String("root", "", "`directory` of snapshots")
	config := flag.String("config", "", "configuration `file`")
	flag.Parse()
	if err := serve(*address, *root, *config); err != nil {
		log.L.Fatal(err)
	}
}

func serve(address, root, config string) error {
	ctx, stop := signal.NotifyContext(log.WithLogger(context.Background(), log.L), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c service.Config
	b, err := os.ReadFile(config)
	if err == nil {
		err = toml.Unmarshal(b, &c)
	}
	if err != nil {
		return err
	}
	snapshotter, err := service.NewStargzSnapshotterService(ctx, root, &c)
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	snapshots.RegisterSnapshotsServer(s, snapshotservice.FromSnapshotter(snapshotter))
	go func() {
		<-ctx.Done()
		s.Stop()
	}()
	return errors.Join(s.Serve(l), snapshotter.Close()) // unmounts
}
