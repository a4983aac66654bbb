// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The context variables of what runs.

#pragma once

#include <utility>

#include "weft/fibers/context_var.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

// While it lives the running fiber, which has no variables of its own at `place`, has the node's.
// What is set meanwhile stays with the node: what is called again finds it again.
class InContext {
 public:
  InContext(HandleNode& node, fibers::detail::TaskLocals** place) noexcept
      : node_(node), place_(place), outside_(*place) {
    // Nearly always there are none: no call then.
    *place = node.context != nullptr ? fibers::detail::share_locals(node.context) : nullptr;
  }
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
  ~InContext() {
    if (auto* const before = keep(); before != nullptr) fibers::detail::release_locals(before);
  }

 private:
  fibers::detail::TaskLocals* keep() noexcept {
    return std::exchange(node_.context, std::exchange(*place_, outside_));
  }

  HandleNode& node_;
  fibers::detail::TaskLocals** const place_;
  fibers::detail::TaskLocals* const outside_;
};

}  // namespace weft::loop::detail
