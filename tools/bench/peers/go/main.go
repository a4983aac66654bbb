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
	"syscall"
	"unsafe"
)

// moment is a point in time, in nanoseconds: of the processor's time that this process has used, and
// of the wall's.
type moment struct{ processor, wall int64 }

func now() moment {
	read := func(clock uintptr) int64 {
		var time syscall.Timespec
		syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&time)), 0)
		return time.Nano()
	}
	const monotonic, processCPUTime = 1, 2
	return moment{processor: read(processCPUTime), wall: read(monotonic)}
}

// meter measures one work inside one process, by the rules of common/meter.h.
type meter struct {
	budget  int64
	began   int64
	warmUps int
	samples []float64
	walls   []float64
	unit    string
	tasks   int
}

func (m *meter) run(operationsPerCount int, batch func(count int)) {
	count := 1
	tooShort := func() bool {
		start := now()
		batch(count)
		return now().processor-start.processor < m.budget/20
	}
	for tooShort() || tooShort() {
		count *= 2
	}
	for m.more() {
		start := now()
		batch(count)
		m.add(start, count*operationsPerCount)
	}
}

func (m *meter) more() bool {
	processor := now().processor
	if len(m.samples) == 0 {
		m.began = processor
	}
	return len(m.samples) < 5 || processor-m.began < m.budget
}

// add takes in that operations were done from start until now.
func (m *meter) add(start moment, operations int) {
	end := now()
	if m.warmUps++; m.warmUps <= 3 {
		return
	}
	m.samples = append(m.samples, float64(end.processor-start.processor)/float64(operations))
	m.walls = append(m.walls, float64(end.wall-start.wall)/float64(operations))
}

func (m *meter) setMemory(before float64, tasks int) {
	m.samples = []float64{(residentBytes() - before) / float64(tasks)}
	m.unit = "bytes"
	m.tasks = tasks
}

func (m *meter) print(work string) {
	row := map[string]any{"work": work, "subject": "go", "value": median(m.samples), "unit": m.unit,
		"batches": len(m.samples)}
	if m.tasks != 0 {
		row["tasks"] = m.tasks
	} else {
		row["wall"] = median(m.walls)
	}
	line, _ := json.Marshal(row)
	fmt.Println(string(line))
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
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
			m := &meter{budget: int64(seconds * 1e9), unit: "ns"}
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
