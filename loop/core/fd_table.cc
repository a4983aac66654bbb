// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/fd_table.h"

#include <string>
#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/transport_core.h"

namespace weft::loop::detail {

using fibers::FdDirection;

void FdTable::add(int fd, FdDirection direction, HandleNode* node) {
  core_.require_open_for(node);
  node->kind = NodeKind::kFd;
  node->fd.watcher = nullptr;
  if (fd < 0) {
    release_node(node);
    throw fibers::UsageError("a negative number is no descriptor; is the socket closed already?");
  }
  FdWatcher* watcher = nullptr;
  try {
    // The old callable's destructor may have added another.
    while (remove(fd, direction)) {
    }
    watcher = take_watcher();
  } catch (...) {
    release_node(node);
    throw;
  }
  watcher->fd = fd;
  watcher->direction = direction;
  watcher->node = node;
  node->fd.watcher = watcher;
  try {
    // First of all: what is no descriptor may be a number that the table has no room for.
    arm(*watcher);
    slot(fd, direction) = watcher;
  } catch (...) {
    retire(*watcher);
    throw;
  }
  ++counts_[index(direction)];
}

bool FdTable::remove(int fd, FdDirection direction) {
  require_unclaimed(fd);
  FdWatcher* watcher = find(fd, direction);
  if (watcher == nullptr) return false;
  drop(*watcher);
  return true;
}

void FdTable::remove_all() {
  for (auto& watchers : by_fd_) {
    for (std::size_t fd = 0; fd < watchers.size(); ++fd) {
      if (watchers[fd] != nullptr) drop(*watchers[fd]);
    }
  }
}

void FdTable::resume(FdWatcher& watcher) {
  if (!watcher.paused || !core_.is_running()) return;
  try {
    arm(watcher);
  } catch (...) {
    // The owner has closed the descriptor meanwhile. There is nothing to watch any more.
    const std::source_location site = watcher.node->site;
    drop(watcher);
    core_.reports().report_without_throwing(
        {.message = text("a descriptor cannot be watched any more"),
         .exception = std::current_exception(),
         .source = site});
  }
}

void FdTable::resume_all() {
  for (auto& watchers : by_fd_) {
    for (std::size_t fd = 0; fd < watchers.size(); ++fd) {
      FdWatcher* watcher = watchers[fd];
      if (watcher != nullptr && watcher->node->phase == NodePhase::kIdle) resume(*watcher);
    }
  }
}

void FdTable::arm(FdWatcher& watcher) {
  core_.run_ref().call(
      [&] { watcher.watch.arm(watcher.fd, watcher.direction, &on_ready, &watcher); });
  watcher.paused = false;
}

// On the scheduler's own stack.
void FdTable::on_ready(void* context) {
  auto& watcher = *static_cast<FdWatcher*>(context);
  HandleNode* node = watcher.node;
  if (node->phase != NodePhase::kIdle || !watcher.core->is_running()) {
    watcher.watch.disarm();
    watcher.paused = true;
    return;
  }
  ++node->refs;
  watcher.core->push_ready(node);
}

void FdTable::drop(FdWatcher& watcher) {
  slot(watcher.fd, watcher.direction) = nullptr;
  --counts_[index(watcher.direction)];
  retire(watcher);
}

// The callable of one that is being called lives until it returns; any other goes now.
void FdTable::retire(FdWatcher& watcher) {
  watcher.watch.disarm();
  HandleNode* node = std::exchange(watcher.node, nullptr);
  watcher.paused = false;
  free_.push_back(&watcher);
  node->fd.watcher = nullptr;
  node->cancelled = true;
  if (!node->running()) LoopCore::drop_callable(node);
  release_node(node);
}

void FdTable::claim(int fd, const TransportCore& transport) {
  require_unclaimed(fd);
  for (const FdDirection direction : {FdDirection::kRead, FdDirection::kWrite}) {
    if (find(fd, direction) == nullptr) continue;
    throw fibers::UsageError("File descriptor " + std::to_string(fd) +
                             " is watched by add_reader() or add_writer(), or a sock_ call waits "
                             "for it; end that before a transport gets it");
  }
  const auto at = static_cast<std::size_t>(fd);
  if (at >= claimed_.size()) claimed_.resize(at + at / 2 + 16);
  claimed_[at] = &transport;
}

void FdTable::require_unclaimed(int fd) const {
  const auto at = static_cast<std::size_t>(fd);
  if (fd < 0 || at >= claimed_.size() || claimed_[at] == nullptr) return;
  throw fibers::UsageError("File descriptor " + std::to_string(fd) + " is used by transport <" +
                           claimed_[at]->kind() + ">; read and write by that");
}

FdWatcher*& FdTable::slot(int fd, FdDirection direction) {
  auto& watchers = by_fd_[index(direction)];
  const auto at = static_cast<std::size_t>(fd);
  if (at >= watchers.size()) watchers.resize(at + at / 2 + 16);
  return watchers[at];
}

FdWatcher* FdTable::find(int fd, FdDirection direction) const {
  const auto& watchers = by_fd_[index(direction)];
  if (fd < 0 || static_cast<std::size_t>(fd) >= watchers.size()) return nullptr;
  return watchers[static_cast<std::size_t>(fd)];
}

FdWatcher* FdTable::take_watcher() {
  if (free_.empty()) {
    all_.push_back(std::make_unique<FdWatcher>());
    try {
      free_.reserve(all_.capacity());  // retire() must not fail.
    } catch (...) {
      all_.pop_back();
      throw;
    }
    all_.back()->core = &core_;
    return all_.back().get();
  }
  FdWatcher* watcher = free_.back();
  free_.pop_back();
  return watcher;
}

}  // namespace weft::loop::detail
