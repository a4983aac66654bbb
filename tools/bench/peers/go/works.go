// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"net"
	"runtime"
	"sync"
	"time"
)

type work struct {
	name    string
	measure func(*meter)
}

var works = []work{
	{"yield/2", func(m *meter) { yield(m, 2) }},
	{"yield/100", func(m *meter) { yield(m, 100) }},
	{"yield/10000", func(m *meter) { yield(m, 10000) }},
	{"spawn_join", func(m *meter) { spawnJoin(m, 1) }},
	{"spawn_join/100", func(m *meter) { spawnJoin(m, 100) }},
	{"channel_rendezvous", channelRendezvous},
	{"scope_deadline/1", func(m *meter) { scopeDeadline(m, 1) }},
	{"scope_deadline/1000000", func(m *meter) { scopeDeadline(m, 1000000) }},
	{"await_future", awaitFuture},
	{"event_wake", eventWake},
	{"lock_uncontended", lockUncontended},
	{"tcp_echo/1", tcpEcho},
	{"tcp_echo/100", tcpEcho},
	{"tcp_echo/1000", tcpEcho},
	{"cancel_parked/10000", cancelParked},
	{"parked_memory/1000000", parkedMemory},
}

func init() {
	for n := 10; n <= 1000000; n *= 10 {
		n := n
		works = append(works,
			work{fmt.Sprintf("scaling/tasks/%d", n), func(m *meter) { yield(m, n) }},
			work{fmt.Sprintf("scaling/timers/%d", n), func(m *meter) { scopeDeadline(m, n) }})
	}
}

// yieldUntil is what every goroutine runs, the measured one too.
//
//go:noinline
func yieldUntil(stop *bool, rounds int) {
	for ; rounds > 0 && !*stop; rounds-- {
		runtime.Gosched()
	}
}

func yield(m *meter, tasks int) {
	stop := false
	for i := 1; i < tasks; i++ {
		go yieldUntil(&stop, math.MaxInt)
	}
	m.run(tasks, func(rounds int) { yieldUntil(&stop, rounds) })
	stop = true
}

func spawnJoin(m *meter, children int) {
	m.run(children, func(count int) {
		var group sync.WaitGroup
		for ; count > 0; count-- {
			group.Add(children)
			for i := 0; i < children; i++ {
				go group.Done()
			}
			group.Wait()
		}
	})
}

func channelRendezvous(m *meter) {
	m.run(1, func(count int) {
		channel := make(chan int)
		go func() {
			for i := 0; i < count; i++ {
				channel <- i
			}
			close(channel)
		}()
		for range channel {
		}
	})
}

// anHour is a length between one minute and one hour, in no order: see common/deadlines.h.
func anHour(source *rand.Rand) time.Duration {
	return time.Minute + time.Duration(source.Int63n(int64(59*time.Minute)))
}

func scopeDeadline(m *meter, others int) {
	source := rand.New(rand.NewSource(1))
	timers := make([]*time.Timer, others)
	for i := range timers {
		timers[i] = time.AfterFunc(anHour(source), func() {})
	}
	m.run(1, func(count int) {
		for ; count > 0; count-- {
			_, cancel := context.WithTimeout(context.Background(), anHour(source))
			cancel()
		}
	})
	runtime.KeepAlive(timers)
}

// awaitFuture: a channel of one place is the future, a goroutine that takes functions is the loop.
func awaitFuture(m *meter) {
	callbacks := make(chan func(), 1)
	go func() {
		for callback := range callbacks {
			callback()
		}
	}()
	m.run(1, func(count int) {
		for ; count > 0; count-- {
			future := make(chan int, 1)
			callbacks <- func() { future <- 1 }
			<-future
		}
	})
}

func cancelParked(m *meter) {
	const tasks = 10000
	for m.more() {
		ctx, cancel := context.WithCancel(context.Background())
		var ended sync.WaitGroup
		ended.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				defer ended.Done()
				<-ctx.Done()
			}()
		}
		runtime.Gosched()
		start := now()
		cancel()
		ended.Wait()
		m.add(start, tasks)
	}
}

func parkedMemory(m *meter) {
	const tasks = 1000000
	before := residentBytes()
	never := make(chan int)
	for i := 0; i < tasks; i++ {
		go func() { <-never }()
	}
	runtime.Gosched()
	m.setMemory(before, tasks)
	runtime.KeepAlive(never)
}

// eventWake: a channel that is closed is the event; two goroutines take turns.
func eventWake(m *meter) {
	m.run(2, func(count int) {
		var event [2]chan struct{}
		play := func(me int) {
			for i := 0; i < count; i++ {
				mine := make(chan struct{})
				event[me] = mine
				close(event[1-me])
				<-mine
			}
		}
		start := make(chan struct{})
		event[1] = start
		var ended sync.WaitGroup
		ended.Add(1)
		go func() {
			defer ended.Done()
			<-start
			play(1)
		}()
		play(0)
		close(event[1])
		ended.Wait()
	})
}

func lockUncontended(m *meter) {
	var lock sync.Mutex
	m.run(1, func(count int) {
		for ; count > 0; count-- {
			lock.Lock()
			lock.Unlock()
		}
	})
}

// tcpEcho serves until it is killed: see common/echo.h. Go switches Nagle's algorithm off itself.
func tcpEcho(*meter) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer connection.Close()
			buffer := make([]byte, 4096)
			for {
				n, err := connection.Read(buffer)
				if err != nil {
					return
				}
				if _, err := connection.Write(buffer[:n]); err != nil {
					return
				}
			}
		}()
	}
}
