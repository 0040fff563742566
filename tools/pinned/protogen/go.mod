module github.com/bazel-contrib/rules_img/tools/pinned/protogen

go 1.25.0

require (
	github.com/bufbuild/protocompile v0.14.1
	google.golang.org/protobuf v1.36.11
)

require golang.org/x/sync v0.8.0 // indirect

tool github.com/bazel-contrib/rules_img/tools/pinned/protogen
