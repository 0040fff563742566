module example.com/javascript/esbuild

go 1.25

tool github.com/evanw/esbuild/cmd/esbuild

require (
	github.com/evanw/esbuild v0.25.10 // indirect
	golang.org/x/sys v0.0.0-20220715151400-c0bba94af5f8 // indirect
)
