package webfinger

import "encoding/json"

// JRD is a JSON Resource Descriptor (RFC 7033, section 4.4). Members that are
// not here are ignored when one is read, as that section demands.
type JRD struct {
	Subject    string     `json:"subject,omitempty"`
	Aliases    []string   `json:"aliases,omitempty"`
	Properties Properties `json:"properties,omitempty"`
	Links      []Link     `json:"links,omitempty"` // in order of preference
}

// Link is a link of a JRD (RFC 7033, section 4.4.4).
type Link struct {
	Rel        string            `json:"rel"` // a URI or a registered relation, compared as a plain string
	Type       string            `json:"type,omitempty"`
	Href       string            `json:"href,omitempty"`
	Titles     map[string]string `json:"titles,omitempty"` // by language tag, or "und"
	Properties Properties        `json:"properties,omitempty"`
}

// Properties are by URI; a value is a string or null (RFC 7033, section 4.4.3
// and section 4.4.4.5). A nil pointer is null.
type Properties map[string]*string

// Text returns the value of a property, or "" if it is absent or null.
func (p Properties) Text(name string) string {
	if value := p[name]; value != nil {
		return *value
	}
	return ""
}

// UnmarshalJSON leaves out values that are neither string nor null: some servers
// send arrays, and the rest of their answer is still good.
func (p *Properties) UnmarshalJSON(data []byte) error {
	var values map[string]any
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	*p = make(Properties, len(values))
	for name, value := range values {
		switch value := value.(type) {
		case nil:
			(*p)[name] = nil
		case string:
			(*p)[name] = &value
		}
	}
	return nil
}

// Link returns the first link with the relation.
func (j JRD) Link(rel string) (Link, bool) {
	for _, link := range j.Links {
		if link.Rel == rel {
			return link, true
		}
	}
	return Link{}, false
}
