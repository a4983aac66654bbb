// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "libuv": a callback loop without tasks, so only timers, "run this next", threads
// and sockets can be compared.

#include <uv.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tools/bench/common/deadlines.h"
#include "tools/bench/common/echo.h"
#include "tools/bench/common/meter.h"

namespace {

using bench::Meter;

template <std::size_t kOthers>
void scope_deadline(Meter& meter) {
  uv_loop_t* loop = uv_default_loop();
  bench::Deadlines deadlines;
  std::vector<uv_timer_t> timers(kOthers + 1);
  for (uv_timer_t& timer : timers) {
    uv_timer_init(loop, &timer);
    uv_timer_start(
        &timer, [](uv_timer_t*) {}, static_cast<std::uint64_t>(deadlines.next().count()), 0);
  }
  uv_timer_t* own = &timers.front();
  meter.run([&deadlines, own](std::uint64_t count) {
    for (; count > 0; --count) {
      uv_timer_start(
          own, [](uv_timer_t*) {}, static_cast<std::uint64_t>(deadlines.next().count()), 0);
      uv_timer_stop(own);
    }
  });
}

void timer_churn(Meter& meter) {
  uv_loop_t* loop = uv_default_loop();
  bench::Deadlines deadlines;
  std::vector<uv_timer_t> timers(1'000'000);
  const auto arm = [&deadlines](uv_timer_t& timer) {
    uv_timer_start(
        &timer, [](uv_timer_t*) {}, static_cast<std::uint64_t>(deadlines.next().count()), 0);
  };
  for (uv_timer_t& timer : timers) {
    uv_timer_init(loop, &timer);
    arm(timer);
  }
  std::size_t next = 0;
  meter.run([&](std::uint64_t count) {
    for (; count > 0; --count) {
      uv_timer_stop(&timers[next]);
      arm(timers[next]);
      if (++next == timers.size()) next = 0;
    }
  });
}

// libuv has no queue of callbacks for the same thread; what comes nearest is an idle handle, which
// runs once an iteration. Each stops and starts itself again, as a callback that queues itself
// does.
template <std::size_t kCallbacks>
void call_soon(Meter& meter) {
  uv_loop_t* loop = uv_default_loop();
  std::vector<uv_idle_t> handles(kCallbacks);
  for (uv_idle_t& handle : handles) {
    uv_idle_init(loop, &handle);
    uv_idle_start(&handle, [](uv_idle_t* self) {
      const uv_idle_cb callback = self->idle_cb;
      uv_idle_stop(self);
      uv_idle_start(self, callback);
    });
  }
  meter.run(
      [loop](std::uint64_t iterations) {
        for (; iterations > 0; --iterations) uv_run(loop, UV_RUN_NOWAIT);
      },
      kCallbacks);
}

// A connection of tcp_echo, with one write under way at most.
struct Connection {
  uv_tcp_t stream;
  uv_write_t write;
  std::array<char, bench::kEchoBuffer> buffer;
};

void answer(uv_stream_t* stream, ssize_t n, const uv_buf_t* /*buffer*/) {
  auto* connection = static_cast<Connection*>(stream->data);
  if (n < 0) {
    uv_close(reinterpret_cast<uv_handle_t*>(stream),
             [](uv_handle_t* closed) { delete static_cast<Connection*>(closed->data); });
  } else if (n > 0) {
    const uv_buf_t data = uv_buf_init(connection->buffer.data(), static_cast<unsigned>(n));
    uv_write(&connection->write, stream, &data, 1, nullptr);
  }
}

void accept(uv_stream_t* listener, int /*status*/) {
  auto* connection = new Connection;
  uv_tcp_init(listener->loop, &connection->stream);
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection->stream);
  stream->data = connection;
  uv_accept(listener, stream);
  uv_tcp_nodelay(&connection->stream, 1);
  uv_read_start(
      stream,
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto& own = static_cast<Connection*>(handle->data)->buffer;
        *buffer = uv_buf_init(own.data(), static_cast<unsigned>(own.size()));
      },
      &answer);
}

void tcp_echo(Meter& /*meter*/) {
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  uv_tcp_open(&listener, bench::listen_and_announce());
  uv_listen(reinterpret_cast<uv_stream_t*>(&listener), SOMAXCONN, &accept);
  uv_run(loop, UV_RUN_DEFAULT);
}

// What libuv receives into.
std::array<char, bench::kEchoBuffer> g_datagram;

void datagram_echo(Meter& /*meter*/) {
  uv_loop_t* loop = uv_default_loop();
  uv_udp_t socket;
  uv_udp_init(loop, &socket);
  uv_udp_open(&socket, bench::bind_and_announce());
  uv_udp_recv_start(
      &socket,
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(g_datagram.data(), static_cast<unsigned>(g_datagram.size()));
      },
      [](uv_udp_t* own, ssize_t n, const uv_buf_t* buffer, const sockaddr* from, unsigned) {
        if (n <= 0) return;
        const uv_buf_t data = uv_buf_init(buffer->base, static_cast<unsigned>(n));
        uv_udp_try_send(own, &data, 1, from);
      });
  uv_run(loop, UV_RUN_DEFAULT);
}

// Work for the thread pool, one after the other.
struct Job {
  uv_work_t work;
  std::uint64_t left;
};

void queue(uv_loop_t* loop, Job* job) {
  uv_queue_work(
      loop, &job->work, [](uv_work_t*) {},
      [](uv_work_t* work, int) {
        auto* done = static_cast<Job*>(work->data);
        if (--done->left > 0) queue(work->loop, done);
      });
}

void to_thread(Meter& meter) {
  uv_loop_t* loop = uv_default_loop();
  meter.run([loop](std::uint64_t count) {
    Job job{{}, count};
    job.work.data = &job;
    queue(loop, &job);
    uv_run(loop, UV_RUN_DEFAULT);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("libuv",
                             {{"scope_deadline/1", &scope_deadline<1>},
                              {"scope_deadline/1000000", &scope_deadline<1'000'000>},
                              {"scaling/timers/10", &scope_deadline<10>},
                              {"scaling/timers/100", &scope_deadline<100>},
                              {"scaling/timers/1000", &scope_deadline<1'000>},
                              {"scaling/timers/10000", &scope_deadline<10'000>},
                              {"scaling/timers/100000", &scope_deadline<100'000>},
                              {"scaling/timers/1000000", &scope_deadline<1'000'000>},
                              {"timer_churn/1000000", &timer_churn},
                              {"call_soon", &call_soon<100>},
                              {"call_soon/1", &call_soon<1>},
                              {"to_thread", &to_thread},
                              {"tcp_echo/1", &tcp_echo},
                              {"tcp_echo/100", &tcp_echo},
                              {"tcp_echo/1000", &tcp_echo},
                              {"protocol_echo/1", &tcp_echo},
                              {"protocol_echo/100", &tcp_echo},
                              {"protocol_echo/1000", &tcp_echo},
                              {"buffered_echo/100", &tcp_echo},
                              {"datagram_echo/100", &datagram_echo}},
                             argc, argv);
}
