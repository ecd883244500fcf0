package main

import (
	"strings"
	"testing"
)

func TestCollect(t *testing.T) {
	events := `{"Action":"run","Package":"a","Test":"TestOne"}
{"Action":"output","Package":"a","Test":"TestOne","Output":"one.go:3: bad\n"}
{"Action":"fail","Package":"a","Test":"TestOne","Elapsed":0.25}
{"Action":"run","Package":"a","Test":"TestTwo"}
{"Action":"pass","Package":"a","Test":"TestTwo","Elapsed":0.5}
{"Action":"fail","Package":"a","Elapsed":0.75}
{"Action":"output","Package":"b","Output":"b.go:1: syntax error\n"}
{"Action":"fail","Package":"b","Elapsed":0}
`
	all, failed, err := collect(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	if failed != 2 || len(all.Suites) != 2 {
		t.Fatalf("%d failed in %d suites", failed, len(all.Suites))
	}
	a, b := all.Suites[0], all.Suites[1]
	if a.Tests != 2 || a.Failures != 1 || a.Cases[0].Failure.Text != "one.go:3: bad\n" || a.Cases[1].Time != "0.500" {
		t.Errorf("suite a is %+v", a)
	}
	if b.Tests != 1 || !strings.Contains(b.Cases[0].Failure.Text, "syntax error") {
		t.Errorf("suite b is %+v", b)
	}
}

func TestRender(t *testing.T) {
	got := render(map[string]map[int]int{"x.go": {4: 0, 3: 2}})
	want := "SF:x.go\nDA:3,2\nDA:4,0\nLF:2\nLH:1\nend_of_record\n"
	if got != want {
		t.Errorf("got %q", got)
	}
}
