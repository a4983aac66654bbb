// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The works of the subject "weft", by the file that has them. README.md says what each measures.

#pragma once

#include <cstddef>

#include "tools/bench/common/meter.h"

namespace bench {

// tasks.cc
void yield_2(Meter& meter);
void yield_100(Meter& meter);
void yield_10000(Meter& meter);
void spawn_join(Meter& meter);
void spawn_join_100(Meter& meter);
void channel_rendezvous(Meter& meter);
void parked_memory(Meter& meter);
void greenlet_switch(Meter& meter);

// scopes.cc
void scope_deadline_1(Meter& meter);
void scope_deadline_1000000(Meter& meter);
void sleep_100(Meter& meter);
void cancel_parked(Meter& meter);

// callbacks.cc
void call_soon_1(Meter& meter);
void call_soon_100(Meter& meter);
void await_future(Meter& meter);
void blocking_callback(Meter& meter);

// loop_tasks.cc
void callback_chain(Meter& meter);
void future_chain(Meter& meter);
void gather_1000(Meter& meter);
void queue(Meter& meter);
void timer_churn(std::size_t timers, Meter& meter);
void task_switch_coroutine(Meter& meter);
void task_switch_stack(Meter& meter);
void coroutine_call(Meter& meter);
void task_spawn_coroutine(Meter& meter);

// loop_io.cc
void protocol_echo(Meter& meter);
void protocol_echo_buffered(Meter& meter);
void stream_echo(Meter& meter);
void datagram_echo(Meter& meter);
void subprocess_spawn(Meter& meter);

// descriptors.cc
void reader_echo(Meter& meter);
void arm_writer_owned(Meter& meter);
void arm_writer_loop(Meter& meter);

// small.cc
void nursery_open_close(Meter& meter);
void event_wake(Meter& meter);
void lock_uncontended(Meter& meter);
void to_thread(Meter& meter);

// echo.cc: serves until it is killed.
void tcp_echo(Meter& meter);

// tls.cc, where OpenSSL is installed; serves until it is killed.
void tls_echo(Meter& meter);

// curl.cc, where libcurl is installed
void curl_get_64(Meter& meter);

// scaling.cc
void scaling_tasks(std::size_t tasks, Meter& meter);
void scaling_timers(std::size_t timers, Meter& meter);
void scaling_descriptors(std::size_t descriptors, Meter& meter);

// border.cc
void trio_as_aio(Meter& meter);
void aio_as_trio(Meter& meter);
void aio_as_trio_coroutine(Meter& meter);
void wait_for_callback(Meter& meter);
void open_loop(Meter& meter);
void sync_loop(Meter& meter);

// cpp20.cc
void awaitable_as_trio(Meter& meter);
void trio_as_awaitable(Meter& meter);
void trio_as_awaitable_coro(Meter& meter);

// boost_fiber.cc
void boost_fiber_as_trio(Meter& meter);
void trio_as_boost_fiber(Meter& meter);

// asio.cc, where Boost.Asio is installed; the echo serves until it is killed.
void use_fiber_post(Meter& meter);
void use_fiber_read(Meter& meter);
void asio_await(Meter& meter);
void trio_as_asio(Meter& meter);
void asio_echo(Meter& meter);

// beast.cc, likewise; both serve until they are killed.
void websocket_echo(Meter& meter);
void http_hello(Meter& meter);

// allocations.cc
void allocations_yield(Meter& meter);
void allocations_sleep(Meter& meter);
void allocations_channel(Meter& meter);
void allocations_call_soon(Meter& meter);
void allocations_wait_for_callback(Meter& meter);
void allocations_aio_as_trio(Meter& meter);
void allocations_spawn(Meter& meter);

}  // namespace bench
