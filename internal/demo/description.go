package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// FileName is the name of the file that appears in the demo's folder when
// everything is up.
const FileName = "demo.json"

// Description is what demo.json says: all that a program needs to use the demo.
type Description struct {
	BaseURL           string             `json:"base_url"`
	Issuers           []string           `json:"issuers"`
	IdentityProviders []IdentityProvider `json:"identity_providers"`
	People            []Person           `json:"people"`
	Services          []Service          `json:"services"`
}

// IdentityProvider is an identity provider of the world, as demo.json shows it.
type IdentityProvider struct {
	Name   string `json:"name"`
	Tenant string `json:"tenant"`
	Issuer string `json:"issuer"`
}

// Description describes the world. It holds everybody's password.
func (w *World) Description() Description {
	d := Description{
		BaseURL:  w.base,
		Issuers:  []string{w.issuer(tenantExample), w.issuer(tenantOther)},
		People:   w.People(),
		Services: w.Services(),
	}
	for _, p := range w.idps {
		d.IdentityProviders = append(d.IdentityProviders, IdentityProvider{Name: p.name, Tenant: p.tenant, Issuer: p.issuer})
	}
	return d
}

// WriteFile writes demo.json into the folder, whole or not at all: a new file,
// 0600, renamed at the end. Call it last: whoever waits for the file takes it as
// the sign that the demo can be used. It returns the file's path.
func (d Description) WriteFile(dir string) (path string, err error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write %s: %w", FileName, err)
	}
	file, err := os.CreateTemp(dir, ".demo-*.json") // 0600 from the start
	if err != nil {
		return "", fmt.Errorf("write %s: %w", FileName, err)
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	if _, err := file.Write(append(text, '\n')); err != nil {
		file.Close()
		return "", fmt.Errorf("write %s: %w", FileName, err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("write %s: %w", FileName, err)
	}
	path = filepath.Join(dir, FileName)
	if err := os.Rename(file.Name(), path); err != nil {
		return "", fmt.Errorf("write %s: %w", FileName, err)
	}
	return path, nil
}
