// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What has to be closed, and may have to wait for that: streams, listeners.

#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"

namespace weft::fibers {

// The destructor of a resource closes as well, without waiting and without manners: a TLS stream
// does not say goodbye there. A base class: copied and moved by its heirs alone. (Trio:
// abc.AsyncResource.)
class AsyncResource {
 public:
  virtual ~AsyncResource() = default;

  // Closes, gracefully if that is possible. Idempotent. Whatever is thrown, and also when it is
  // cancelled: afterwards the resource is closed. Tasks that wait on it get ClosedResourceError.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: closes at once, without manners.
  // Threads: the run's own only.
  virtual void aclose() = 0;

 protected:
  AsyncResource() = default;
  AsyncResource(const AsyncResource&) = default;
  AsyncResource& operator=(const AsyncResource&) = default;
};

// Closes without manners and without waiting for anybody: aclose() in a scope that is cancelled
// already. For anything with an aclose(). (Trio: aclose_forcefully.)
//
// Blocks: yes, always a schedule point, for a turn of the scheduler only.
// Cancel: not a cancel point.
// Threads: the run's own only.
template <class Resource>
void aclose_forcefully(Resource& resource) {
  CancelScope scope;
  scope.cancel("aclose_forcefully");
  scope.run([&] { resource.aclose(); });
}

namespace detail {

// Closes what an error has left, in that error's handler. An error of closing is the news; being
// cancelled meanwhile is none: the caller rethrows the error, and the next wait is cancelled again.
template <class Resource>
void aclose_after_error(Resource& resource) {
  try {
    resource.aclose();
  } catch (const Cancelled&) {
    static_cast<void>(0);  // It has closed all the same.
  }
}

}  // namespace detail

// Runs `body(resource)` and then closes the resource with manners, whether the body returned or
// threw; returns what the body did. What a destructor cannot do, because it must not wait.
//
//   const std::string answer = aclosing(open_ssl_over_tcp_stream(host, port), [](SSLStream& tls) {
//     tls.send_all("...");
//     return tls.receive_some();
//   });
//
// If closing fails, too, that is the error that is thrown; if it is cancelled, the body's is.
// (Python: `async with resource`, where the Cancelled replaces the body's error, too.)
//
// Blocks: yes, always a checkpoint.
// Cancel: closes at once, without manners.
// Threads: the run's own only.
template <class Resource, class Body>
auto aclosing(Resource&& resource, Body&& body)
    -> std::invoke_result_t<Body, std::remove_reference_t<Resource>&> {
  using Result = std::invoke_result_t<Body, std::remove_reference_t<Resource>&>;
  const auto run = [&]() -> Result {
    try {
      return std::invoke(std::forward<Body>(body), resource);
    } catch (...) {
      detail::aclose_after_error(resource);
      throw;
    }
  };
  if constexpr (std::is_void_v<Result>) {
    run();
    resource.aclose();
  } else {
    Result result = run();
    resource.aclose();
    return result;
  }
}

}  // namespace weft::fibers
