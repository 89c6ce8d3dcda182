package server

import (
	"sync"

	"signpost/directory"
	"signpost/oidc/issuer"
)

// maxRendered bounds the memory, in bytes of documents and of what they are found by.
const maxRendered = 8 << 20

// renderedOverhead is what a document takes besides its own text and the texts of its view: its place
// in the map, and its tag.
const renderedOverhead = 512

// rendered remembers configurations as they were sent: most programs ask for one that they have,
// and writing it costs more than all that is checked before. Whoever asks is checked each time; only the
// writing is spared, for a view from which the very same would be written.
type rendered struct {
	mu        sync.Mutex
	snapshot  *directory.Snapshot // of the views' realms
	documents map[issuer.View]document
	bytes     int
}

// document is one that was written.
type document struct {
	body []byte
	etag string
}

// of returns the document of a view. What was declared before the snapshot is dropped.
func (d *rendered) of(snapshot *directory.Snapshot, v issuer.View) (document, error) {
	if known, ok := d.recall(snapshot, v); ok {
		return known, nil
	}
	body, err := v.Document().JSON()
	if err != nil {
		return document{}, err
	}
	written := document{body, entityTag(body)}
	d.keep(v, written)
	return written, nil
}

func (d *rendered) recall(snapshot *directory.Snapshot, v issuer.View) (document, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.snapshot != snapshot || d.bytes > maxRendered {
		d.snapshot, d.documents, d.bytes = snapshot, make(map[issuer.View]document), 0
	}
	known, ok := d.documents[v]
	return known, ok
}

func (d *rendered) keep(v issuer.View, written document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.documents[v]; !known {
		d.bytes += len(written.body) + v.Size() + renderedOverhead
		d.documents[v] = written
	}
}
