package service

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFileMode lets the servers read public keys, whoever they run as.
const keyFileMode fs.FileMode = 0o644

// replaceFile makes a file hold this text, and reports whether it did not before. Who reads it
// sees the old text or the new one, also after a crash.
func replaceFile(root *os.Root, name string, text []byte) (changed bool, err error) {
	if same, err := holds(root, name, text); err != nil || same {
		return false, err
	}
	folder := filepath.Dir(name)
	if err := root.MkdirAll(folder, 0o755); err != nil {
		return false, err
	}
	draft := filepath.Join(folder, ".signpost-"+rand.Text())
	defer func() {
		if err != nil {
			_ = root.Remove(draft) // the first error is the one to tell
		}
	}()
	if err := writeDraft(root, draft, text); err != nil {
		return false, err
	}
	if err := root.Rename(draft, name); err != nil {
		return false, err
	}
	return true, syncFolder(root, folder)
}

func holds(root *os.Root, name string, text []byte) (bool, error) {
	before, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return bytes.Equal(before, text), nil
}

func writeDraft(root *os.Root, name string, text []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, keyFileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	// The mode that it was made with is less what the process masks.
	return errors.Join(err, f.Chmod(keyFileMode), f.Sync(), f.Close())
}

// removeFile removes an ordinary file if it is there, and reports whether it was.
func removeFile(root *os.Root, name string) (bool, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	if err := root.Remove(name); err != nil {
		return false, err
	}
	return true, syncFolder(root, filepath.Dir(name))
}

// syncFolder makes sure that a crash does not undo what was renamed or removed.
func syncFolder(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
