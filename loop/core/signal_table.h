// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks for signals.

#pragma once

#include <cstddef>
#include <map>
#include <memory>

#include "weft/fibers/signals.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

// One signal's callback.
struct SignalEntry {
  SignalEntry(LoopCore& loop, int signal, HandleNode* callback)
      : core(loop), node(callback), watch(signal, &on_signal, this) {}
  // Into the queue, once, or again after the call that is going on.
  static void on_signal(void* self, int signal);

  LoopCore& core;
  HandleNode* node;    // Holds a reference.
  bool again = false;  // It has come while its callback ran.
  fibers::SignalWatch watch;
};

class SignalTable {
 public:
  explicit SignalTable(LoopCore& core) : core_(core) {}
  SignalTable(const SignalTable&) = delete;
  SignalTable& operator=(const SignalTable&) = delete;

  // Takes over a reference to `node`. In the place of the callback before, which is cancelled.
  void add(int signal, HandleNode* node);
  bool remove(int signal);
  void remove_all();
  // The callback has returned, and is idle.
  void returned(HandleNode* node) noexcept;
  // Of the entry of a node that has been cancelled.
  void remove(SignalEntry& entry);

 private:
  void retire(SignalEntry& entry);

  LoopCore& core_;
  std::map<int, std::unique_ptr<SignalEntry>> entries_;
};

}  // namespace weft::loop::detail
