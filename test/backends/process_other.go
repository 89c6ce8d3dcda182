//go:build !linux

package backends

import (
	"errors"
	"syscall"
)

// errSystem says why nothing starts here: that servers end with the process that
// started them is asked of the kernel, and how it is asked differs.
var errSystem = errors.New("the servers of the tests are started on Linux alone")

type (
	account struct{}
	process struct{}
)

func unprivileged(string) (*account, error)                    { return nil, errSystem }
func (*account) own(string) error                              { return errSystem }
func attributes(*account, syscall.Signal) *syscall.SysProcAttr { return nil }
func freeze(int) ([]process, error)                            { return nil, errSystem }
func thaw(int) error                                           { return errSystem }
func killAll([]process) error                                  { return errSystem }
func gone([]process) error                                     { return errSystem }
