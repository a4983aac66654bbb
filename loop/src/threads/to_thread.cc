// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/to_thread.h"

#include "weft/fibers/context_var.h"

namespace weft::loop::detail {

// A copy, and no count: counts belong to one thread.
CarriedContext::CarriedContext()
    : locals_(fibers::detail::context_in_use() ? fibers::detail::detach_own_locals() : nullptr) {}

CarriedContext::~CarriedContext() {
  fibers::detail::release_locals(locals_);
}

CarriedContext::Inside::Inside(CarriedContext& context) noexcept
    : before_(fibers::detail::set_thread_locals(&context.locals_)) {}

CarriedContext::Inside::~Inside() {
  fibers::detail::set_thread_locals(before_);
}

}  // namespace weft::loop::detail
