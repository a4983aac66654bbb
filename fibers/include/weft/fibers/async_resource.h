// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What has to be closed, and may have to wait for that: streams, listeners.

#pragma once

#include "weft/fibers/cancel_scope.h"

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

}  // namespace weft::fibers
