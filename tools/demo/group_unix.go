//go:build unix

package main

import "syscall"

// ownGroup is a process group that a terminal's Ctrl-C does not reach.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
