.PHONY: release demo test fmt lint docs bench

# From nothing to an image in a running registry, checked by somebody else's client.
demo:
	@go run ./tools/demo

# Every test: Go with the race detector, the rules' own, and consumer workspaces built by a real Bazel.
test:
	@tools/test

fmt:
	@tools/fmt

lint:
	@tools/lint

# Writes the reference pages anew, and checks that the documentation's links resolve.
docs:
	@go run ./tools/reference
	@go run ./tools/docs

bench:
	@go run ./bench/layer

# Everything that a release is, into out/release/VERSION: docs/releasing.md.
release:
	@go run ./tools/release --version "$(VERSION)"
