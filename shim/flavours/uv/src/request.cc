// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/request.h"

#include <string>

#include "shim/flavours/uv/src/handle_state.h"
#include "shim/flavours/uv/src/place.h"
#include "weft/fibers/errors.h"

namespace weft::uv {

namespace detail {

static constinit thread_local Place* place = nullptr;

Place*& this_place() noexcept {
  return place;
}

// In a callback of libuv's, through which nothing may be thrown.
void complete(void* data, std::int64_t result, const char* name, const char* path) noexcept {
  const Done done = Done::take_pointer(data);
  if (result >= 0) return done(result);
  std::exception_ptr error = error_of([&] {
    std::string what(name);
    if (path != nullptr) what.append(" ").append(path);
    throw Error(static_cast<int>(result), what);
  });
  result == UV_ECANCELED ? done.cancelled(std::move(error)) : done.fail(std::move(error));
}

void started() {
  if (place != nullptr && place->waker != nullptr) uv_async_send(place->waker);
}

void cancel_request(uv_req_t* request) noexcept {
  uv_cancel(request);
  started();
}

}  // namespace detail

uv_loop_t* current_loop() {
  if (const detail::Place* place = detail::this_place()) return place->loop;
  throw fibers::UsageError(
      "this run has no loop of libuv's; start it by weft::uv::run, or open one in it by "
      "weft::uv::open_loop");
}

Addresses getaddrinfo(const std::string& node, const std::string& service, const addrinfo* hints) {
  uv_getaddrinfo_t request;
  const auto or_null = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
  await(request, [&](uv_getaddrinfo_t* r, uv_getaddrinfo_cb done) {
    return uv_getaddrinfo(current_loop(), r, done, or_null(node), or_null(service), hints);
  });
  return Addresses(request.addrinfo);
}

}  // namespace weft::uv
