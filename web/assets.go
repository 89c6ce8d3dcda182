package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
)

//go:embed assets/signpost.css assets/mark.svg
var assetFiles embed.FS

// Asset is a file that the pages load from their own host. Its path changes
// with its content, so it may be cached for ever.
type Asset struct {
	Path      string // "/assets/<hash>.css", on every host that serves pages
	MediaType string
	Body      []byte // not to be changed
	name      string
}

func loadAssets() ([]Asset, error) {
	var loaded []Asset
	for _, a := range []Asset{
		{name: "signpost.css", MediaType: "text/css; charset=utf-8"},
		{name: "mark.svg", MediaType: "image/svg+xml"},
	} {
		body, err := assetFiles.ReadFile("assets/" + a.name)
		if err != nil {
			return nil, fmt.Errorf("web: read asset %q: %w", a.name, err)
		}
		sum := sha256.Sum256(body)
		a.Path = "/assets/" + hex.EncodeToString(sum[:12]) + path.Ext(a.name)
		a.Body = body
		loaded = append(loaded, a)
	}
	return loaded, nil
}

// Assets returns everything that the pages load: the stylesheet and the images.
func (p *Pages) Assets() []Asset { return slices.Clone(p.assets) }

func (p *Pages) assetPath(name string) (string, error) {
	for _, a := range p.assets {
		if a.name == name {
			return a.Path, nil
		}
	}
	return "", fmt.Errorf("no asset %q", name)
}
