//go:build !windows

package main

import "os"

// understandsControls reports whether a terminal obeys control sequences.
func understandsControls(*os.File) bool { return true }
