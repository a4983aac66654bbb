// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The context variables of what runs.

#pragma once

#include <utility>

#include "weft/fibers/context_var.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

// While it lives the running fiber has the node's variables. What is set meanwhile stays with the
// node: what is called again finds it again.
class InContext {
 public:
  explicit InContext(HandleNode& node)
      : node_(node),
        entered_(fibers::detail::context_in_use()),
        outside_(entered_
                     ? fibers::detail::exchange_locals(fibers::detail::share_locals(node.context))
                     : nullptr) {}
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
  ~InContext() {
    // Also if the first variable of the process has been set meanwhile.
    if (entered_ || fibers::detail::context_in_use()) leave();
  }

 private:
  void leave() {
    fibers::detail::release_locals(
        std::exchange(node_.context, fibers::detail::exchange_locals(outside_)));
  }

  HandleNode& node_;
  const bool entered_;
  fibers::detail::TaskLocals* const outside_;
};

}  // namespace weft::loop::detail
