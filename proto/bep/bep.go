// Package bep is Bazel's Build Event Protocol: those fields of its messages that pushing images needs, with the numbers that they have there.
//
// The other file is generated from build_event_stream.proto: `go generate ./proto/bep` makes it again.
package bep

//go:generate sh -c "$(../../tools/get-tool protogen) build_event_stream.proto"
