// Command {{ project.name }} is a small HTTP service.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/{{ project.path }}/internal/greet"
)

// drainTime is how long requests under way may take after SIGTERM.
const drainTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	listener, err := net.Listen("tcp", ":"+port())
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	if err := serve(ctx, listener); err != nil {
		log.Fatal(err)
	}
	log.Print("stopped")
}

// port is the environment's PORT, or the project's own.
func port() string {
	if port := os.Getenv("PORT"); port != "" {
		return port
	}
	return "{{ port }}"
}

// serve answers on the listener until the context ends, then lets requests under way finish.
func serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           greet.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return err
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
