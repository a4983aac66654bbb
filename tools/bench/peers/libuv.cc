// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "libuv": a callback loop without tasks, so only timers and "run this next" can be
// compared.

#include <uv.h>

#include <cstdint>
#include <vector>

#include "tools/bench/common/deadlines.h"
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

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("libuv",
                             {{"scope_deadline/1", &scope_deadline<1>},
                              {"scope_deadline/1000000", &scope_deadline<1'000'000>},
                              {"call_soon", &call_soon<100>},
                              {"call_soon/1", &call_soon<1>}},
                             argc, argv);
}
