package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxKeyFile bounds what is read as a key file: about a thousand keys.
const maxKeyFile = 64 << 10

// LoadOrCreate returns the box of a key file, one base64 key per line. If there
// is no such file, it is made with one new key, readable by its owner alone. Of
// several processes that start together one makes the file and all use it. The
// folder must exist. A file that its group or others may read or write is
// refused with a sentence that says what to do.
//
// Whoever loses the file loses everything sealed: it belongs in the backup, apart
// from the database.
func LoadOrCreate(path string) (*Box, error) {
	box, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return box, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	return Load(path)
}

// Load is LoadOrCreate without the creation: the error is fs.ErrNotExist if there
// is no such file.
func Load(path string) (*Box, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return New(keys...)
}

// readKeyFile asks the open file, not the path, for its mode: nobody can put
// another file in its place between the question and the reading.
func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("seal: open key file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("seal: look at key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("seal: key file %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("seal: key file %s is open to others than its owner (mode %#o): run chmod 600 %s", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return "", fmt.Errorf("seal: read key file: %w", err)
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("seal: key file %s is larger than %d bytes", path, maxKeyFile)
	}
	return string(text), nil
}

// create writes a key file unless there is one. The file gets its name by a hard
// link only when it is complete, so that nobody reads half a key, and a link
// never replaces a file that another process made first.
func create(path string) error {
	folder := filepath.Dir(path)
	temporary, err := os.CreateTemp(folder, ".key-*") // mode 0600
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("seal: folder of key file %s does not exist: make it first", path)
	}
	if err != nil {
		return fmt.Errorf("seal: make key file: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // what stays behind is a key that seals nothing
	if err := writeKey(temporary); err != nil {
		return fmt.Errorf("seal: write key file: %w", err)
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("seal: make key file: %w", err)
	}
	if err := syncFolder(folder); err != nil {
		return fmt.Errorf("seal: make key file: %w", err)
	}
	return nil
}

// writeKey writes a new key and makes sure that it is on the disk: what is sealed
// with a key must not outlive it.
func writeKey(f *os.File) error {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails (go doc crypto/rand.Read)
	_, err := f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// ParseKeys reads server keys from the text of a file or an environment variable:
// each is 32 bytes in base64 (RFC 4648, section 4), with white space between them.
// Errors count the keys from 1 and never repeat one.
func ParseKeys(text string) ([][]byte, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, errors.New("seal: no key: make one with openssl rand -base64 32")
	}
	var keys [][]byte
	for i, word := range words {
		key, err := base64.StdEncoding.Strict().DecodeString(word)
		if err != nil {
			return nil, fmt.Errorf("seal: key %d is not base64 with padding: make one with openssl rand -base64 32", i+1)
		}
		if len(key) != KeySize {
			return nil, fmt.Errorf("seal: key %d has %d bytes, want %d: make one with openssl rand -base64 32", i+1, len(key), KeySize)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
