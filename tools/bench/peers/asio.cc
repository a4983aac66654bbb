// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "asio": Boost.Asio's C++20 awaitables and posted handlers, on an io_context that is told
// there is one thread only.

#include <array>
#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

#include "tools/bench/common/deadlines.h"
#include "tools/bench/common/echo.h"
#include "tools/bench/common/meter.h"
#include "tools/bench/common/process_memory.h"
#include "tools/bench/peers/asio_works.h"
#include "tools/bench/peers/tls_echo.h"

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using bench::Meter;
using boost::system::error_code;

using Channel = asio::experimental::channel<void(error_code, std::uint64_t)>;

asio::io_context& context() {
  static asio::io_context instance(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  return instance;
}

// Runs the coroutine that `make` returns, and everything that it causes.
template <class F>
void run_coroutine(F&& make) {
  asio::co_spawn(context(), std::forward<F>(make), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  context().restart();
  context().run();
}

// What every task runs: post to itself, until the context is stopped. The first of them counts the
// rounds; the measurement is outside.
awaitable<void> yield_for_ever(std::uint64_t* rounds_left) {
  for (;;) {
    if (rounds_left != nullptr && (*rounds_left)-- == 0) context().stop();
    co_await asio::post(context(), use_awaitable);
  }
}

template <std::size_t kTasks>
void yield(Meter& meter) {
  static std::uint64_t rounds_left = 0;
  for (std::size_t i = 0; i < kTasks; ++i) {
    asio::co_spawn(context(), yield_for_ever(i == 0 ? &rounds_left : nullptr), asio::detached);
  }
  meter.run(
      [](std::uint64_t rounds) {
        rounds_left = rounds;
        context().restart();
        context().run();
      },
      kTasks);
}

awaitable<void> sleep_for_ever(std::uint64_t* rounds_left) {
  asio::steady_timer timer(context());
  for (;;) {
    if (rounds_left != nullptr && (*rounds_left)-- == 0) context().stop();
    timer.expires_after(std::chrono::nanoseconds(1));
    co_await timer.async_wait(use_awaitable);
  }
}

template <std::size_t kTasks>
void sleep(Meter& meter) {
  static std::uint64_t rounds_left = 0;
  for (std::size_t i = 0; i < kTasks; ++i) {
    asio::co_spawn(context(), sleep_for_ever(i == 0 ? &rounds_left : nullptr), asio::detached);
  }
  meter.run(
      [](std::uint64_t rounds) {
        rounds_left = rounds;
        context().restart();
        context().run();
      },
      kTasks);
}

awaitable<void> nothing() {
  co_return;
}

void spawn_join(Meter& meter) {
  meter.run([](std::uint64_t count) {
    run_coroutine([count]() -> awaitable<void> {
      for (std::uint64_t i = 0; i < count; ++i) {
        co_await asio::co_spawn(context(), nothing(), use_awaitable);
      }
    });
  });
}

// Asio has no group of tasks that grows; a counter and a timer that is cancelled by the last one is
// what people write.
void spawn_join_100(Meter& meter) {
  meter.run(
      [](std::uint64_t count) {
        run_coroutine([count]() -> awaitable<void> {
          asio::steady_timer done(context());
          for (std::uint64_t i = 0; i < count; ++i) {
            int running = 100;
            done.expires_at(asio::steady_timer::time_point::max());
            for (int child = 0; child < 100; ++child) {
              asio::co_spawn(context(), nothing(), [&](const std::exception_ptr&) {
                if (--running == 0) done.cancel();
              });
            }
            co_await done.async_wait(asio::as_tuple(use_awaitable));
          }
        });
      },
      100);
}

template <std::size_t kPlaces>
void channel(Meter& meter) {
  meter.run([](std::uint64_t count) {
    Channel channel(context(), kPlaces);
    asio::co_spawn(
        context(),
        [&channel, count]() -> awaitable<void> {
          for (std::uint64_t i = 0; i < count; ++i) {
            co_await channel.async_send(error_code(), i, use_awaitable);
          }
        },
        asio::detached);
    run_coroutine([&channel, count]() -> awaitable<void> {
      for (std::uint64_t i = 0; i < count; ++i) {
        bench::keep(co_await channel.async_receive(use_awaitable));
      }
    });
  });
}

// Cancelling a wait posts its handler, which belongs to the operation: it is run every 100 times.
template <std::size_t kOthers>
void scope_deadline(Meter& meter) {
  bench::Deadlines deadlines;
  std::vector<asio::steady_timer> others;
  for (std::size_t i = 0; i < kOthers; ++i) {
    others.emplace_back(context(), deadlines.next()).async_wait([](const error_code&) {});
  }
  asio::steady_timer own(context());
  meter.run([&](std::uint64_t count) {
    for (; count > 0; --count) {
      own.expires_after(deadlines.next());
      own.async_wait([](const error_code&) {});
      own.cancel();
      if (count % 100 == 0) context().poll();
    }
    context().poll();
  });
}

// A cancelled wait's handler is run, and its memory used again, within a hundred.
void timer_churn(Meter& meter) {
  bench::Deadlines deadlines;
  std::vector<asio::steady_timer> timers;
  const auto arm = [&deadlines](asio::steady_timer& timer) {
    timer.expires_after(deadlines.next());
    timer.async_wait([](const error_code&) {});
  };
  timers.reserve(1'000'000);
  for (std::size_t i = 0; i < 1'000'000; ++i) arm(timers.emplace_back(context()));
  std::size_t next = 0;
  meter.run([&](std::uint64_t count) {
    for (; count > 0; --count) {
      arm(timers[next]);  // Setting the time anew cancels the wait.
      if (++next == timers.size()) next = 0;
      if (count % 100 == 0) context().poll();
    }
    context().poll();
  });
}

// Callbacks that post themselves again until the common count is used up.
struct Requeue {
  std::uint64_t* left;
  void operator()() const {
    if (*left == 0) return;
    --*left;
    asio::post(context(), *this);
  }
};

template <int kCallbacks>
void call_soon(Meter& meter) {
  meter.run([](std::uint64_t count) {
    std::uint64_t left = count;
    context().restart();
    for (int i = 0; i < kCallbacks; ++i) asio::post(context(), Requeue{&left});
    context().run();
  });
}

// A message of 40 bytes that goes from callback to callback.
struct Hop {
  std::uint64_t* left;
  std::array<std::uint64_t, 5> message;
  void operator()() {
    ++message[0];
    bench::keep(message);
    if (*left == 0) return;
    --*left;
    asio::post(context(), *this);
  }
};

void callback_chain(Meter& meter) {
  meter.run([](std::uint64_t count) {
    std::uint64_t left = count;
    context().restart();
    for (std::uint64_t i = 0; i < 10; ++i) asio::post(context(), Hop{&left, {i}});
    context().run();
  });
}

// Asio gathers nothing: callbacks note their value, and the last one cancels a timer.
void gather(Meter& meter) {
  constexpr std::size_t kGathered = 1000;
  meter.run(
      [](std::uint64_t count) {
        run_coroutine([count]() -> awaitable<void> {
          asio::steady_timer done(context());
          for (std::uint64_t i = 0; i < count; ++i) {
            std::vector<int> values(kGathered);
            std::size_t left = kGathered;
            done.expires_at(asio::steady_timer::time_point::max());
            for (int& value : values) {
              asio::post(context(), [&value, &left, &done] {
                value = 1;
                if (--left == 0) done.cancel();
              });
            }
            co_await done.async_wait(asio::as_tuple(use_awaitable));
            bench::keep(values);
          }
        });
      },
      kGathered);
}

// Suspends until a callback, queued before, hands over a value. Asio has no future to await; this
// is an asynchronous operation of one's own.
awaitable<int> value_from_callback() {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(int)>(
      [](auto handler) {
        asio::post(context(), [handler = std::move(handler)]() mutable { std::move(handler)(1); });
      },
      use_awaitable);
}

void await_future(Meter& meter) {
  meter.run([](std::uint64_t count) {
    run_coroutine([count]() -> awaitable<void> {
      for (std::uint64_t i = 0; i < count; ++i) bench::keep(co_await value_from_callback());
    });
  });
}

// A handler cannot wait: it starts a coroutine for what comes after.
void blocking_callback(Meter& meter) {
  meter.run([](std::uint64_t count) {
    std::function<void()> callback = [&] {
      asio::co_spawn(context(), value_from_callback(), [&](const std::exception_ptr&, int) {
        if (--count > 0) asio::post(context(), std::ref(callback));
      });
    };
    context().restart();
    asio::post(context(), std::ref(callback));
    context().run();
  });
}

awaitable<void> wait_on(asio::steady_timer& timer, std::size_t& finished) {
  try {
    co_await timer.async_wait(use_awaitable);
  } catch (const boost::system::system_error&) {
    ++finished;
  }
}

void cancel_parked(Meter& meter) {
  constexpr std::size_t kTasks = 10'000;
  asio::steady_timer never(context());
  while (meter.more()) {
    never.expires_at(asio::steady_timer::time_point::max());
    std::size_t finished = 0;
    for (std::size_t i = 0; i < kTasks; ++i) {
      asio::co_spawn(context(), wait_on(never, finished), asio::detached);
    }
    context().restart();
    context().poll();
    const bench::Moment start = bench::Moment::now();
    never.cancel();
    context().poll();
    meter.add(start, kTasks);
    if (finished != kTasks) std::abort();
  }
}

void parked_memory(Meter& meter) {
  constexpr std::size_t kTasks = 1'000'000;
  static asio::steady_timer never(context(), asio::steady_timer::time_point::max());
  static std::size_t finished = 0;
  const auto before = bench::ProcessMemory::now();
  for (std::size_t i = 0; i < kTasks; ++i) {
    asio::co_spawn(context(), wait_on(never, finished), asio::detached);
  }
  context().poll();
  bench::report_parked_memory(meter, before, kTasks);
}

// One call in a pool of one thread, and back.
void to_thread(Meter& meter) {
  asio::thread_pool pool(1);
  // Asio has to know here that there are two threads.
  asio::io_context shared;
  const auto work = asio::make_work_guard(shared);
  meter.run([&](std::uint64_t count) {
    asio::co_spawn(
        shared,
        [&, count]() -> awaitable<void> {
          for (std::uint64_t i = 0; i < count; ++i) {
            co_await asio::post(asio::bind_executor(pool, use_awaitable));
            co_await asio::post(shared, use_awaitable);
          }
        },
        [&](const std::exception_ptr&) { shared.stop(); });
    shared.restart();
    shared.run();
  });
}

awaitable<void> echo(asio::ip::tcp::socket socket) {
  socket.set_option(asio::ip::tcp::no_delay(true));
  std::array<char, bench::kEchoBuffer> buffer;
  try {
    for (;;) {
      const std::size_t n = co_await socket.async_read_some(asio::buffer(buffer), use_awaitable);
      co_await asio::async_write(socket, asio::buffer(buffer, n), use_awaitable);
    }
  } catch (const boost::system::system_error&) {
  }
}

void tcp_echo(Meter& /*meter*/) {
  run_coroutine([]() -> awaitable<void> {
    asio::ip::tcp::acceptor acceptor(context(), asio::ip::tcp::v4(), bench::listen_and_announce());
    for (;;) {
      asio::co_spawn(context(), echo(co_await acceptor.async_accept(use_awaitable)),
                     asio::detached);
    }
  });
}

void datagram_echo(Meter& /*meter*/) {
  run_coroutine([]() -> awaitable<void> {
    asio::ip::udp::socket socket(context(), asio::ip::udp::v4(), bench::bind_and_announce());
    std::array<char, bench::kEchoBuffer> buffer;
    for (;;) {
      asio::ip::udp::endpoint from;
      const std::size_t n =
          co_await socket.async_receive_from(asio::buffer(buffer), from, use_awaitable);
      co_await socket.async_send_to(asio::buffer(buffer, n), from, use_awaitable);
    }
  });
}

// A coroutine started by another, which waits for it.
void spawn_and_await(Meter& meter) {
  meter.run([](std::uint64_t count) {
    run_coroutine([count]() -> awaitable<void> {
      for (std::uint64_t i = 0; i < count; ++i) {
        auto answer = []() -> awaitable<int> { co_return 1; };
        bench::keep(co_await asio::co_spawn(context(), answer(), use_awaitable));
      }
    });
  });
}

// The context run until a coroutine has ended, and again.
void sync_loop(Meter& meter) {
  meter.run([](std::uint64_t count) {
    for (; count > 0; --count) {
      run_coroutine([]() -> awaitable<void> { bench::keep(co_await value_from_callback()); });
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("asio",
                             {{"yield/2", &yield<2>},
                              {"yield/100", &yield<100>},
                              {"yield/10000", &yield<10'000>},
                              {"sleep/100", &sleep<100>},
                              {"spawn_join", &spawn_join},
                              {"spawn_join/100", &spawn_join_100},
                              {"channel_rendezvous", &channel<0>},
                              {"scope_deadline/1", &scope_deadline<1>},
                              {"scope_deadline/1000000", &scope_deadline<1'000'000>},
                              {"scaling/tasks/10", &yield<10>},
                              {"scaling/tasks/100", &yield<100>},
                              {"scaling/tasks/1000", &yield<1'000>},
                              {"scaling/tasks/10000", &yield<10'000>},
                              {"scaling/tasks/100000", &yield<100'000>},
                              {"scaling/tasks/1000000", &yield<1'000'000>},
                              {"scaling/timers/10", &scope_deadline<10>},
                              {"scaling/timers/100", &scope_deadline<100>},
                              {"scaling/timers/1000", &scope_deadline<1'000>},
                              {"scaling/timers/10000", &scope_deadline<10'000>},
                              {"scaling/timers/100000", &scope_deadline<100'000>},
                              {"scaling/timers/1000000", &scope_deadline<1'000'000>},
                              {"call_soon", &call_soon<100>},
                              {"call_soon/1", &call_soon<1>},
                              {"await_future", &await_future},
                              {"task_switch/coroutine", &await_future},
                              {"callback_chain", &callback_chain},
                              {"gather/1000", &gather},
                              {"queue", &channel<1>},
                              {"timer_churn/1000000", &timer_churn},
                              {"blocking_callback", &blocking_callback},
                              {"to_thread", &to_thread},
                              {"tcp_echo/1", &tcp_echo},
                              {"tcp_echo/100", &tcp_echo},
                              {"tcp_echo/1000", &tcp_echo},
                              {"datagram_echo/100", &datagram_echo},
                              {"wait_for_callback", &await_future},
                              {"aio_as_trio/coroutine", &spawn_and_await},
                              {"trio_as_awaitable", &spawn_and_await},
                              {"asio_await", &bench::await_coroutine},
                              {"trio_as_asio", &bench::await_coroutine},
                              {"use_fiber/post", &bench::await_post},
                              {"use_fiber/read", &bench::await_read},
                              {"sync_loop", &sync_loop},
                              {"stream_echo/1", &tcp_echo},
                              {"stream_echo/100", &tcp_echo},
                              {"stream_echo/1000", &tcp_echo},
                              {"asio_echo/1", &bench::asio_echo},
                              {"asio_echo/100", &bench::asio_echo},
                              {"websocket_echo/100", &bench::websocket_echo},
                              {"http_hello/100", &bench::http_hello},
#ifdef WEFT_BENCH_TLS
                              {"tls_echo/100", &bench::tls_echo},
#endif
                              {"cancel_parked/10000", &cancel_parked},
                              {"parked_memory/1000000", &parked_memory}},
                             argc, argv);
}
