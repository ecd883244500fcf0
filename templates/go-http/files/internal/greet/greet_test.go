package greet

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestGreet(t *testing.T) {
	for name, want := range map[string]string{
		"":        Greeting + ", world!",
		"  ":      Greeting + ", world!",
		"Ada":     Greeting + ", Ada!",
		" Grace ": Greeting + ", Grace!",
	} {
		t.Run("name="+name, func(t *testing.T) {
			if got := Greet(name); got != want {
				t.Errorf("Greet(%q) = %q, want %q", name, got, want)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct {
		name           string
		method, target string
		status         int
		key, value     string
	}{
		{"nobody", "GET", "/", 200, "message", Greeting + ", world!"},
		{"somebody", "GET", "/?name=" + url.QueryEscape("Zoë"), 200, "message", Greeting + ", Zoë!"},
		{"name too long", "GET", "/?name=" + long, 400, "error", "name is too long"},
		{"health", "GET", "/health", 200, "status", "ok"},
		{"unknown path", "GET", "/nowhere", 404, "error", "not found"},
		{"wrong method", "POST", "/", 405, "error", "method not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			Handler().ServeHTTP(recorder, httptest.NewRequest(c.method, c.target, http.NoBody))
			if recorder.Code != c.status {
				t.Fatalf("status %d, want %d", recorder.Code, c.status)
			}
			var body map[string]string
			if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if body[c.key] != c.value {
				t.Errorf("%s = %q, want %q", c.key, body[c.key], c.value)
			}
		})
	}
}
