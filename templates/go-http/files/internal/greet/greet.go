// Package greet holds the routes of the service.
package greet

import (
	"encoding/json"
	"log"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Greeting is the word in front of the name.
const Greeting = "{{ greeting }}"

const maxName = 100

type message struct {
	Message string `json:"message"`
}

type failure struct {
	Error string `json:"error"`
}

type health struct {
	Status string `json:"status"`
}

// Handler routes the requests: / greets, /health tells that the service is up.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", root)
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, health{Status: "ok"})
	})
	return mux
}

func root(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		write(w, http.StatusNotFound, failure{Error: "not found"})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		write(w, http.StatusMethodNotAllowed, failure{Error: "method not allowed"})
		return
	}
	name := r.URL.Query().Get("name")
	if utf8.RuneCountInString(name) > maxName {
		write(w, http.StatusBadRequest, failure{Error: "name is too long"})
		return
	}
	write(w, http.StatusOK, message{Message: Greet(name)})
}

// Greet builds the text for a name; nobody in particular is the world.
func Greet(name string) string {
	name = strings.TrimSpace(name)
	if name == "" {
		name = "world"
	}
	return Greeting + ", " + name + "!"
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("answer not sent: %v", err)
	}
}
