// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/signal_table.h"

#include <utility>

#include "loop/core/node_life.h"

namespace weft::loop::detail {

void SignalEntry::on_signal(void* self, int /*signal*/) {
  auto& entry = *static_cast<SignalEntry*>(self);
  HandleNode* const node = entry.node;
  if (node->running()) {
    entry.again = true;
  } else if (!node->queued()) {
    ++node->refs;
    entry.core.push_ready(node);
  }
}

void SignalTable::add(int signal, HandleNode* node) {
  core_.require_open_for(node);
  node->kind = NodeKind::kSignal;
  node->signal.entry = nullptr;
  try {
    auto entry =
        core_.run_ref().call([&] { return std::make_unique<SignalEntry>(core_, signal, node); });
    // The old callable's destructor may have added another.
    while (remove(signal)) {
    }
    node->signal.entry = entry.get();
    entries_[signal] = std::move(entry);
  } catch (...) {
    node->signal.entry = nullptr;
    release_node(node);
    throw;
  }
}

bool SignalTable::remove(int signal) {
  const auto found = entries_.find(signal);
  if (found == entries_.end()) return false;
  const std::unique_ptr<SignalEntry> entry = std::move(found->second);
  entries_.erase(found);
  retire(*entry);
  return true;
}

void SignalTable::remove(SignalEntry& entry) {
  for (const auto& [signal, present] : entries_) {
    if (present.get() != &entry) continue;
    remove(signal);
    return;
  }
}

void SignalTable::remove_all() {
  while (!entries_.empty()) remove(entries_.begin()->first);
}

// The callable of one that is being called lives until it returns; any other goes now.
void SignalTable::retire(SignalEntry& entry) {
  HandleNode* const node = entry.node;
  node->signal.entry = nullptr;
  node->cancelled = true;
  if (!node->running()) LoopCore::drop_callable(node);
  release_node(node);
}

void SignalTable::returned(HandleNode* node) noexcept {
  SignalEntry* const entry = node->signal.entry;
  if (entry == nullptr || !std::exchange(entry->again, false)) return;
  ++node->refs;
  core_.push_ready(node);
}

}  // namespace weft::loop::detail
