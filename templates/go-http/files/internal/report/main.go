// Command report turns what `go test -json -coverprofile` wrote into JUnit XML and LCOV.
//
//	go run ./internal/report -events reports/events.json -junit reports/junit.xml \
//	    -profile reports/cover.out -lcov reports/lcov.info
//
// It exits with 1 when a test failed, so that it can follow a pipe.
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	events := flag.String("events", "", "output of go test -json")
	junit := flag.String("junit", "", "JUnit XML to write")
	profile := flag.String("profile", "", "cover profile")
	lcov := flag.String("lcov", "", "LCOV file to write")
	flag.Parse()

	failed, err := writeJUnit(*events, *junit)
	if err != nil {
		log.Fatal(err)
	}
	if *profile != "" && *lcov != "" {
		if err := writeLCOV(*profile, *lcov); err != nil {
			log.Fatal(err)
		}
	}
	if failed > 0 {
		log.Printf("%d failed", failed)
		os.Exit(1)
	}
}
