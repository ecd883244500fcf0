package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// block is one line of a cover profile: file:line.column,line.column statements count
var block = regexp.MustCompile(`^(.+):(\d+)\.\d+,(\d+)\.\d+ \d+ (\d+)$`)

// writeLCOV turns a cover profile into LCOV, with paths below the module's root.
func writeLCOV(from, to string) error {
	module, err := modulePath()
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()

	files := map[string]map[int]int{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		parts := block.FindStringSubmatch(lines.Text())
		if parts == nil {
			continue // the mode line
		}
		first, _ := strconv.Atoi(parts[2])
		last, _ := strconv.Atoi(parts[3])
		count, _ := strconv.Atoi(parts[4])
		name := strings.TrimPrefix(parts[1], module+"/")
		if files[name] == nil {
			files[name] = map[int]int{}
		}
		for line := first; line <= last; line++ {
			if seen, ok := files[name][line]; !ok || count > seen {
				files[name][line] = count
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return os.WriteFile(to, []byte(render(files)), 0o644)
}

func render(files map[string]map[int]int) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)

	var out strings.Builder
	for _, name := range names {
		lines := make([]int, 0, len(files[name]))
		covered := 0
		for line, count := range files[name] {
			lines = append(lines, line)
			if count > 0 {
				covered++
			}
		}
		sort.Ints(lines)
		fmt.Fprintf(&out, "SF:%s\n", name)
		for _, line := range lines {
			fmt.Fprintf(&out, "DA:%d,%d\n", line, files[name][line])
		}
		fmt.Fprintf(&out, "LF:%d\nLH:%d\nend_of_record\n", len(lines), covered)
	}
	return out.String()
}

// modulePath reads the module's name from go.mod.
func modulePath() (string, error) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if name := strings.TrimPrefix(line, "module "); name != line {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("go.mod names no module")
}
