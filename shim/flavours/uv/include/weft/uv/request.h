// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting for any request of libuv's.
//
//   uv_fs_t request;
//   const absl::Cleanup clean = [&] { uv_fs_req_cleanup(&request); };
//   const auto fd = weft::uv::await(request, [&](uv_fs_t* r, uv_fs_cb done) {
//     return uv_fs_open(weft::uv::current_loop(), r, "/etc/hosts", O_RDONLY, 0, done);
//   });
//
// The request lies where it is declared, and the wait never leaves before libuv has let go of it.

#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/outcome.h"
#include "weft/shim/portal.h"
#include "weft/uv/error.h"

namespace weft::uv {

namespace detail {

using Done = shim::Completion<std::int64_t>;

// For errors.
template <class Req>
inline constexpr const char* kRequestName = "a request of libuv's";
#define WEFT_UV_REQUEST(upper, lower) \
  template <>                         \
  inline constexpr const char* kRequestName<uv_##lower##_t> = #lower;
UV_REQ_TYPE_MAP(WEFT_UV_REQUEST)
#undef WEFT_UV_REQUEST

// Ends the wait that `data` stands for. `path` is what an operation on a file was given, or null.
void complete(void* data, std::int64_t result, const char* name,
              const char* path = nullptr) noexcept;
// A nested loop has something new to look at.
void started();
void cancel_request(uv_req_t* request) noexcept;

// The callback of a request, by its type.
template <class Req>
constexpr auto callback_of() {
  if constexpr (std::is_same_v<Req, uv_fs_t>) {
    return +[](uv_fs_t* r) { complete(r->data, r->result, kRequestName<Req>, r->path); };
  } else if constexpr (std::is_same_v<Req, uv_getaddrinfo_t>) {
    return +[](uv_getaddrinfo_t* r, int status, addrinfo*) {
      complete(r->data, status, kRequestName<Req>);
    };
  } else if constexpr (std::is_same_v<Req, uv_getnameinfo_t>) {
    return +[](uv_getnameinfo_t* r, int status, const char*, const char*) {
      complete(r->data, status, kRequestName<Req>);
    };
  } else if constexpr (std::is_same_v<Req, uv_random_t>) {
    return +[](uv_random_t* r, int status, void*, std::size_t) {
      complete(r->data, status, kRequestName<Req>);
    };
  } else {
    return +[](Req* r, int status) { complete(r->data, status, kRequestName<Req>); };
  }
}

template <class Fn, class R>
struct Work {
  uv_work_t request;  // The first, so that its address is this one's.
  Fn& fn;
  std::optional<fibers::Outcome<R>> outcome;
};

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { uv_freeaddrinfo(list); }
};

}  // namespace detail

// Calls `start(&request, callback)`, a function of libuv's, and waits for the callback. Returns
// what that says: 0, or of a uv_fs_t the result. Throws Error if libuv refuses the request or it
// fails. The request's `data` is weft's meanwhile.
//
// If the task is cancelled, `stop()` is called, once; it has to bring the callback about, as
// closing the handle does. If the callback says ECANCELED the wait throws Cancelled.
//
// Blocks: yes, always a checkpoint.
// Cancel: before `start`: nothing is started. Afterwards `stop`; a result that comes counts.
// Threads: the run's own only, which has to be its loop's.
template <class Req, class Start, class Stop>
std::int64_t await(Req& request, Start&& start, Stop&& stop) {
  return shim::wait_for_callback<std::int64_t>(
      [&](detail::Done done) {
        request.data = std::move(done).into_pointer();
        int result = UV_ECANCELED;
        try {
          result = std::invoke(start, &request, detail::callback_of<Req>());
        } catch (...) {
          detail::Done::take_pointer(request.data);
          throw;
        }
        if (result < 0) {
          detail::Done::take_pointer(request.data);
          throw Error(result, detail::kRequestName<Req>);
        }
        detail::started();
      },
      [&] {
        std::invoke(stop);
        return shim::CancelResult::kWillComplete;
      });
}

// The same with uv_cancel, which stops what waits for one of libuv's threads: uv_fs_t,
// uv_getaddrinfo_t, uv_getnameinfo_t, uv_random_t, uv_work_t. What a thread has begun, and any
// other request, is waited for to its end.
//
// Blocks: yes, always a checkpoint.
// Cancel: before `start`: nothing is started. Afterwards uv_cancel; a result that comes counts.
// Threads: the run's own only, which has to be its loop's.
template <class Req, class Start>
std::int64_t await(Req& request, Start&& start) {
  return await(request, std::forward<Start>(start),
               [&] { detail::cancel_request(reinterpret_cast<uv_req_t*>(&request)); });
}

// The loop of this run: the host's of uv::run, or open_loop's. Throws UsageError if there is none.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
uv_loop_t* current_loop();

// Calls `fn` in a thread of libuv's pool, and returns what it returns or throws what it throws.
//
// Blocks: yes, always a checkpoint.
// Cancel: only before a thread has begun with `fn`.
// Threads: the run's own only.
template <class F>
auto queue_work(F&& fn) -> std::decay_t<std::invoke_result_t<F&>> {
  using R = std::decay_t<std::invoke_result_t<F&>>;
  using Work = detail::Work<F, R>;
  Work work{{}, fn, std::nullopt};
  await(work.request, [](uv_work_t* request, uv_after_work_cb done) {
    const auto call = [](uv_work_t* r) {
      auto& self = *reinterpret_cast<Work*>(r);
      self.outcome.emplace(fibers::capture([&]() -> R { return std::invoke(self.fn); }));
    };
    return uv_queue_work(current_loop(), request, call, done);
  });
  return work.outcome->unwrap();
}

using Addresses = std::unique_ptr<addrinfo, detail::FreeAddresses>;

// uv_getaddrinfo; an empty string is libuv's null.
//
// Blocks: yes, always a checkpoint.
// Cancel: only before a thread of libuv's has begun with it.
// Threads: the run's own only.
Addresses getaddrinfo(const std::string& node, const std::string& service,
                      const addrinfo* hints = nullptr);

}  // namespace weft::uv
