// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A run that waits in another library's loop, for those who bring such a library to weft. The run
// is the host here: it turns the other loop between the steps of its tasks, and while no task is
// ready the thread waits in that loop, which has been given the run's descriptor to wait for. For
// loops that have a descriptor of their own, wait for that as for any other; where the other loop
// is the host, see guest.h.
//
//   class Partner final : public SharedWait { ... };   // turns the loop
//   {
//     Partner partner(loop);                            // from here on
//     body();
//   }
//
// What the other loop calls is in no task: it must not wait, as what Token::run_sync_soon calls
// must not. It may do all else, such as set an Event, send_nowait or cancel a scope.

#pragma once

#include <cstddef>
#include <memory>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

namespace detail {
class SharedPoll;
}  // namespace detail

// While an object lives, the run in which it was made shares its waits.
class SharedWait {
 public:
  SharedWait(const SharedWait&) = delete;
  SharedWait& operator=(const SharedWait&) = delete;

  // The run's: readable while it should look for what has come to its descriptors, its threads and
  // its deadlines.
  int pollable_fd() const noexcept;

 protected:
  // Throws UsageError outside of a run, in a guest, whose host does the waiting, and if this run
  // shares its waits already; std::system_error if the system has no descriptors left.
  SharedWait();
  virtual ~SharedWait();

  struct Turn {
    std::size_t done = 0;         // How much the other loop has called.
    bool run_is_readable = true;  // Or may be: nobody has looked.
  };

 private:
  friend class detail::SharedPoll;

  // Does what is ready in the other loop, a bounded amount of it; does not wait.
  virtual Turn poll() noexcept = 0;
  // Waits in the other loop until it has done something, or the run's descriptor is readable.
  virtual Turn wait() noexcept = 0;

  const std::unique_ptr<detail::SharedPoll> poll_;
};

}  // namespace weft::fibers
