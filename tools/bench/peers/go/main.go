// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Subject "go": goroutines on one processor. The protocol is that of common/meter.h.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

// meter measures one work inside one process, by the rules of common/meter.h.
type meter struct {
	budget  time.Duration
	start   time.Time
	samples []float64
	unit    string
	tasks   int
}

func (m *meter) run(operationsPerCount int, batch func(count int)) {
	timed := func(count int) time.Duration {
		start := time.Now()
		batch(count)
		return time.Since(start)
	}
	count := 1
	for timed(count) < m.budget/20 {
		count *= 2
	}
	for m.more() {
		m.add(timed(count), count*operationsPerCount)
	}
}

func (m *meter) more() bool {
	if m.start.IsZero() {
		m.start = time.Now()
	}
	return len(m.samples) < 3 || time.Since(m.start) < m.budget
}

func (m *meter) add(elapsed time.Duration, operations int) {
	m.samples = append(m.samples, float64(elapsed.Nanoseconds())/float64(operations))
}

func (m *meter) setMemory(before float64, tasks int) {
	m.samples = []float64{(residentBytes() - before) / float64(tasks)}
	m.unit = "bytes"
	m.tasks = tasks
}

func (m *meter) print(work string) {
	sort.Float64s(m.samples)
	row := map[string]any{"work": work, "subject": "go", "value": m.samples[len(m.samples)/2],
		"unit": m.unit, "batches": len(m.samples)}
	if m.tasks != 0 {
		row["tasks"] = m.tasks
	}
	line, _ := json.Marshal(row)
	fmt.Println(string(line))
}

func residentBytes() float64 {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		panic(err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[0] == "VmRSS:" {
			kibibytes, _ := strconv.ParseFloat(fields[1], 64)
			return kibibytes * 1024
		}
	}
	panic("no VmRSS")
}

func main() {
	runtime.GOMAXPROCS(1)
	wanted := ""
	if len(os.Args) > 1 {
		wanted = os.Args[1]
	}
	for _, work := range works {
		if wanted == "--works" {
			fmt.Println(work.name)
		} else if wanted == work.name {
			seconds := 0.5
			if len(os.Args) > 2 {
				seconds, _ = strconv.ParseFloat(os.Args[2], 64)
			}
			m := &meter{budget: time.Duration(seconds * float64(time.Second)), unit: "ns"}
			work.measure(m)
			m.print(work.name)
			return
		}
	}
	if wanted != "--works" {
		fmt.Fprintf(os.Stderr, "usage: %s WORK [SECONDS] | --works\n", os.Args[0])
		os.Exit(2)
	}
}
