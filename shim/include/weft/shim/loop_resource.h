// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For adapters: things that belong to a loop and have to be closed while it can still be used.

#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "weft/loop/event_loop.h"

namespace weft::shim {

namespace detail {
template <class T>
inline constexpr char kResourceKey = 0;
std::shared_ptr<void> find_resource(loop::EventLoop& loop, const void* key);
void keep_resource(loop::EventLoop& loop, const void* key, std::shared_ptr<void> resource);
}  // namespace detail

// Calls `fn` when the block of open_loop ends: after the last task has ended, while the loop still
// runs. The last one registered goes first. `fn` may wait, shielded, for five seconds at most; what
// it throws comes out of open_loop. Throws UsageError if the loop is not one of open_loop's, or has
// got past that point.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void at_close(loop::EventLoop& loop, absl::AnyInvocable<void()> fn);

// The loop's one T, made by T(loop) at the first call; T::close() is called as by at_close. Who
// still holds it later has a closed one. Throws as at_close does, if it has to be made.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class T>
std::shared_ptr<T> loop_resource(loop::EventLoop& loop) {
  const void* key = &detail::kResourceKey<T>;
  if (auto found = detail::find_resource(loop, key)) return std::static_pointer_cast<T>(found);
  auto made = std::make_shared<T>(loop);
  // The constructor may have waited, and another task have made one meanwhile.
  if (auto found = detail::find_resource(loop, key)) return std::static_pointer_cast<T>(found);
  at_close(loop, [made] { made->close(); });
  detail::keep_resource(loop, key, made);
  return made;
}

// Marks `fd`: if the loop still watches it, by add_reader or add_writer, when the loop is closed,
// it is closed as well. Throws as at_close does. (trio-asyncio: loop.autoclose.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void autoclose(loop::EventLoop& loop, int fd);
// Takes the mark back. UsageError if it has none. (trio-asyncio: loop.no_autoclose.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void no_autoclose(loop::EventLoop& loop, int fd);

}  // namespace weft::shim
