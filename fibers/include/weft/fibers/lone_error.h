// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The one error that a group comes to, for whoever need not know that there was a nursery inside:
// see unwrapped.h. Nursery::start() asks it of the nursery that it keeps to itself.

#pragma once

#include <exception>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

struct LoneErrorOptions {
  // Groups inside the group are opened too. Otherwise they stay as they are.
  bool nested = true;
  // A KeyboardInterrupt counts for more than whatever is beside it, which is lost then.
  bool interrupt_first = false;
};

// The one error that `error` comes to, out of its wrapping; `error` itself if it is no group, or
// holds several. A Cancelled beside errors does not count: whoever is cancelled is told again at
// the next wait. Of nothing but Cancelled the first one.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
std::exception_ptr lone_error(const std::exception_ptr& error,
                              const LoneErrorOptions& options = {});

namespace detail {
// The first Cancelled of a group of nothing but Cancelled; anything else as it is. Without this
// `catch (const Cancelled&)` around a nursery would never run: C++ has no `except*`.
std::exception_ptr bare_cancelled(std::exception_ptr error);
// Whether it is a KeyboardInterrupt or has one inside.
bool has_interrupt_inside(const std::exception_ptr& error);
}  // namespace detail

}  // namespace weft::fibers
