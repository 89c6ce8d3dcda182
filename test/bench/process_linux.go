package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// noOrphans lets a process end with the one that starts it, however that ends.
func noOrphans() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// time is the processor time that the process has used so far.
func (p *process) time() time.Duration {
	// The clock of a process: ~pid << 3 | CPUCLOCK_SCHED (clock_getcpuclockid(3)).
	return clock(int32(^p.pid)<<3 | 2)
}

// ownTime is that of this process.
func ownTime() time.Duration { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
