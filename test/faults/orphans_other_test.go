//go:build !linux

package faults

import "syscall"

// noOrphans can do nothing here: when the tests are killed, their processes stay.
func noOrphans() *syscall.SysProcAttr { return nil }
