// Command protogen makes Go of a .proto file, beside it: protogen FILE. It is protoc and protoc-gen-go in one, without a compiler to install. With
// --check it writes nothing, and fails when what is there is not what it would write.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	check := len(args) > 0 && args[0] == "--check"
	if check {
		args = args[1:]
	}
	if len(args) != 1 {
		return fmt.Errorf("want a .proto file of this directory, not %q", args)
	}
	content, err := generate(args)
	if err != nil {
		return err
	}
	path := strings.TrimSuffix(args[0], ".proto") + ".pb.go"
	if !check {
		return os.WriteFile(path, content, 0o644)
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, content) {
		return fmt.Errorf("%s is not what %s makes: run go generate ./proto/...", path, args[0])
	}
	return nil
}

func generate(args []string) ([]byte, error) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}, SourceInfoMode: protocompile.SourceInfoStandard}
	files, err := compiler.Compile(context.Background(), args[0])
	if err != nil {
		return nil, err
	}
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: args,
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protoutil.ProtoFromFileDescriptor(files[0])},
	})
	if err != nil {
		return nil, err
	}
	return internal_gengo.GenerateFile(plugin, plugin.FilesByPath[args[0]]).Content()
}
