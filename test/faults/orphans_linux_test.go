package faults

import "syscall"

// noOrphans lets a process end with the one that starts it, however that ends.
func noOrphans() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
