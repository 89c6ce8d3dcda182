package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

const envPrefix = "SIGNPOST_"

// The command line reads these variables itself; they are no settings of a server.
var otherVariables = []string{"config", "server"}

// LoadOptions are the places that settings come from.
type LoadOptions struct {
	Flags    map[string]string                 // the flags that were given, by name without dashes: "base-url"; "config" names the file
	Env      []string                          // as from os.Environ
	ReadFile func(name string) ([]byte, error) // os.ReadFile
	Root     bool                              // the process runs as root
}

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Where   string // "--listen", "SIGNPOST_LISTEN" or "signpost.yaml: listen"
	Message string // what is wrong
	Hint    string // what to do
}

// Problems is the error of Load: everything that is wrong, so that one look
// mends it.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = fmt.Sprintf("%s: %s; %s", problem.Where, problem.Message, problem.Hint)
	}
	return strings.Join(lines, "\n")
}

// Load reads the configuration: flags before environment before file before
// defaults. The file is the one that the flag "config" or the variable
// SIGNPOST_CONFIG names; without either there is none. The error is Problems.
func Load(o LoadOptions) (Config, error) {
	l := &loader{options: o, merged: koanf.New("."), from: map[string]string{}}
	l.file()
	l.environment()
	l.flags()
	c := l.config()
	if len(l.problems) > 0 {
		return Config{}, l.problems
	}
	return c, nil
}

// loader lays one source over the other and remembers which value came from where.
type loader struct {
	options  LoadOptions
	merged   *koanf.Koanf
	from     map[string]string // key -> where its value came from
	problems Problems
}

func (l *loader) problem(where, message, hint string) {
	l.problems = append(l.problems, Problem{Where: where, Message: message, Hint: hint})
}

func (l *loader) file() {
	name := l.options.Flags["config"]
	if name == "" {
		name = l.variable("SIGNPOST_CONFIG")
	}
	if name == "" {
		return
	}
	source := koanf.New(".")
	if err := source.Load(file{name, l.options.ReadFile}, yamlParser{}); err != nil {
		l.problem(name, err.Error(), "give a YAML file that can be read")
		return
	}
	l.add(source, func(key string) string { return name + ": " + key })
}

func (l *loader) environment() {
	source := koanf.New(".")
	err := source.Load(env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return l.options.Env },
		TransformFunc: func(name, value string) (string, any) {
			key := strings.ToLower(strings.TrimPrefix(name, envPrefix))
			// An empty variable is how compose files and unit files say "not set".
			if value == "" || slices.Contains(otherVariables, key) || strings.HasPrefix(key, "test_") {
				return "", nil
			}
			return key, value
		},
	}), nil)
	if err != nil {
		l.problem("environment", err.Error(), "look at the variables that begin with "+envPrefix)
		return
	}
	l.add(source, func(key string) string { return envPrefix + strings.ToUpper(key) })
}

func (l *loader) flags() {
	values := layer{}
	for name, value := range l.options.Flags {
		if name != "config" {
			values[strings.ReplaceAll(name, "-", "_")] = value
		}
	}
	where := func(key string) string { return "--" + strings.ReplaceAll(key, "_", "-") }
	for _, s := range Settings() {
		if _, given := values[s.Key]; given && s.Flag == "" {
			l.problem(where(s.Key), "a secret on the command line is seen by every user of the machine", "set "+s.Env+" or "+s.Env+"_FILE")
			delete(values, s.Key)
		}
	}
	source := koanf.New(".")
	if err := source.Load(values, nil); err != nil {
		l.problem("command line", err.Error(), "see signpost serve --help")
		return
	}
	l.add(source, where)
}

// add lays a source over what was read before, but for what is not a setting.
func (l *loader) add(source *koanf.Koanf, where func(key string) string) {
	values := layer{}
	for _, key := range slices.Sorted(maps.Keys(source.All())) {
		setting, known := settingNamed(key)
		if !known {
			l.problem(where(key), "there is no such setting", "the settings are listed in docs/configuration.md")
			continue
		}
		values[setting.Key] = source.Get(key)
		l.from[key] = where(key)
	}
	if err := l.merged.Load(values, nil); err != nil {
		l.problem("configuration", err.Error(), "see docs/configuration.md")
	}
}

// where returns the place that a value came from, or the key if nobody set it.
func (l *loader) where(key string) string {
	if place, ok := l.from[key]; ok {
		return place
	}
	return key
}

// variable returns a variable of the environment, empty if it is not set.
func (l *loader) variable(name string) string {
	for _, pair := range l.options.Env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// layer is a source that is a map already.
type layer map[string]any

func (l layer) Read() (map[string]any, error) { return l, nil }

func (layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// file is a source that is read with the caller's function.
type file struct {
	name string
	read func(string) ([]byte, error)
}

func (f file) ReadBytes() ([]byte, error) { return f.read(f.name) }

func (file) Read() (map[string]any, error) { return nil, errors.ErrUnsupported }

// yamlParser is the form of the file.
type yamlParser struct{}

func (yamlParser) Unmarshal(text []byte) (map[string]any, error) {
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("not a YAML mapping: %s", yaml.FormatError(err, false, false))
	}
	return values, nil
}

func (yamlParser) Marshal(values map[string]any) ([]byte, error) { return yaml.Marshal(values) }
