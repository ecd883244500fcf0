package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type suites struct {
	XMLName xml.Name `xml:"testsuites"`
	Suites  []*suite `xml:"testsuite"`
}

type suite struct {
	Name     string  `xml:"name,attr"`
	Tests    int     `xml:"tests,attr"`
	Failures int     `xml:"failures,attr"`
	Skipped  int     `xml:"skipped,attr"`
	Time     string  `xml:"time,attr"`
	Cases    []*kase `xml:"testcase"`

	output strings.Builder
}

type kase struct {
	Class   string  `xml:"classname,attr"`
	Name    string  `xml:"name,attr"`
	Time    string  `xml:"time,attr"`
	Failure *reason `xml:"failure,omitempty"`
	Skipped *reason `xml:"skipped,omitempty"`

	output strings.Builder
}

type reason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit reads events and writes one suite for each package; it returns how many tests failed.
func writeJUnit(from, to string) (int, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	all, failed, err := collect(in)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", from, err)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return 0, err
	}
	return failed, os.WriteFile(to, append([]byte(xml.Header), text...), 0o644)
}

func collect(in io.Reader) (*suites, int, error) {
	all, failed := &suites{}, 0
	packages, tests := map[string]*suite{}, map[string]*kase{}
	for decoder := json.NewDecoder(in); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return all, failed, nil
		} else if err != nil {
			return nil, 0, err
		}
		if e.Package == "" {
			continue
		}
		s := packages[e.Package]
		if s == nil {
			s = &suite{Name: e.Package}
			packages[e.Package] = s
			all.Suites = append(all.Suites, s)
		}
		if e.Test == "" {
			failed += s.finish(e)
			continue
		}
		key := e.Package + "\x00" + e.Test
		c := tests[key]
		if c == nil {
			c = &kase{Class: e.Package, Name: e.Test}
			tests[key] = c
			s.Cases = append(s.Cases, c)
			s.Tests++
		}
		switch e.Action {
		case "output":
			c.output.WriteString(e.Output)
		case "pass":
			c.Time = seconds(e.Elapsed)
		case "skip":
			c.Time, c.Skipped = seconds(e.Elapsed), &reason{Message: "skipped", Text: c.output.String()}
			s.Skipped++
		case "fail":
			c.Time, c.Failure = seconds(e.Elapsed), &reason{Message: "failed", Text: c.output.String()}
			s.Failures++
			failed++
		}
	}
}

// finish takes an event of the package itself; one that fails without a failed test did not build or crashed.
func (s *suite) finish(e event) int {
	switch e.Action {
	case "output":
		s.output.WriteString(e.Output)
	case "pass", "skip":
		s.Time = seconds(e.Elapsed)
	case "fail":
		s.Time = seconds(e.Elapsed)
		if s.Failures == 0 {
			s.Tests, s.Failures = s.Tests+1, 1
			s.Cases = append(s.Cases, &kase{
				Class: s.Name, Name: "package", Time: "0",
				Failure: &reason{Message: "the package failed", Text: s.output.String()},
			})
			return 1
		}
	}
	return 0
}

func seconds(n float64) string { return fmt.Sprintf("%.3f", n) }
