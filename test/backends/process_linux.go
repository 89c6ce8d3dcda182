package backends

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is somebody else as whom a program runs.
type account struct{ credential syscall.Credential }

// unprivileged returns as whom a program runs that refuses root: the named user of
// the machine where we are root, and we ourselves (nil) otherwise.
func unprivileged(name string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &account{syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// own gives a file or folder to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// attributes put a process into a group of its own, where the terminal's Ctrl-C does
// not reach it, and send it the signal when the process that started it has ended,
// however it did.
func attributes(a *account, quit syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: quit}
	if a != nil {
		attr.Credential = &a.credential
	}
	return attr
}

// process is a line of /proc: who it is, who started it, and whether it runs ('R',
// 'S'), is stopped ('T') or has ended ('Z').
type process struct {
	id, parent int
	state      byte
}

// family returns a process and all that it has started. Groups do not tell: each
// process of PostgreSQL makes one of its own.
func family(root int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var found []process
	members := []int{root}
	for len(members) > 0 {
		var next []int
		for _, p := range all {
			if slices.Contains(members, p.id) && p.state != 'Z' {
				found = append(found, p)
			}
			if slices.Contains(members, p.parent) {
				next = append(next, p.id)
			}
		}
		members = next
	}
	return found, nil
}

// processes reads which processes there are.
func processes() ([]process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		// "42 (a name) S 1 ...": the name may hold anything, also ")".
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 {
			return nil, fmt.Errorf("%s: cannot be understood", file)
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		all = append(all, process{id: id, parent: parent, state: fields[0][0]})
	}
	return all, nil
}

// freeze stops a process and all that it has started, parents before children: who
// is stopped starts no more. It returns them when all stand still.
func freeze(root int) ([]process, error) {
	var stopped []process
	err := wait(context.Background(), endWithin, func(context.Context) error {
		members, err := family(root)
		if err != nil {
			return err
		}
		moving := 0
		for _, p := range members {
			if p.state == 'T' {
				continue
			}
			moving++
			if err := send(p, syscall.SIGSTOP); err != nil {
				return err
			}
		}
		if moving > 0 {
			return fmt.Errorf("%d of %d processes move", moving, len(members))
		}
		stopped = members
		return nil
	})
	return stopped, err
}

// thaw lets a process and all that it has started go on.
func thaw(root int) error {
	members, err := family(root)
	if err != nil {
		return err
	}
	for _, p := range members {
		if err := send(p, syscall.SIGCONT); err != nil {
			return err
		}
	}
	return nil
}

func killAll(members []process) error {
	for _, p := range members {
		if err := send(p, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return nil
}

// gone returns an error while one of the processes has not ended.
func gone(members []process) error {
	all, err := processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.state != 'Z' && slices.ContainsFunc(members, func(m process) bool { return m.id == p.id }) {
			return fmt.Errorf("process %d has not ended", p.id)
		}
	}
	return nil
}

// send sends a signal; that the process has ended meanwhile is no error.
func send(p process, signal syscall.Signal) error {
	if err := syscall.Kill(p.id, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to process %d: %w", signal, p.id, err)
	}
	return nil
}
