package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsControls makes a console obey control sequences, if it can.
func understandsControls(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
