// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What serve_listeners() (tcp.h) serves.

#pragma once

#include "weft/fibers/async_resource.h"

namespace weft::fibers {

// Where connections come in. `T` is the type of their streams. (Trio: abc.Listener.)
template <class T>
class Listener : public virtual AsyncResource {
 public:
  // The next connection. Throws ClosedResourceError when closed; what else can go wrong is up to
  // the kind of listener.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no connection is lost.
  // Threads: the run's own only.
  virtual T accept() = 0;
};

}  // namespace weft::fibers
