// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks for readable and writable descriptors.

#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "weft/fibers/fd_watch.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

class TransportCore;

// One registration: a descriptor, a direction, a callback. Recycled, but not while armed.
struct FdWatcher {
  fibers::FdWatch watch;
  LoopCore* core = nullptr;
  HandleNode* node = nullptr;  // Holds a reference.
  int fd = -1;
  fibers::FdDirection direction = fibers::FdDirection::kRead;
  // Disarmed, because the descriptor was found ready again before the callback had dealt with the
  // last time: it blocks, or the loop does not run. Armed again after that.
  bool paused = false;
};

// What has been found ready is remembered in the callback's node and nowhere else. A new
// registration has a new node: that is its generation. So nothing old reaches it, and nothing
// reaches a removed one.
class FdTable {
 public:
  explicit FdTable(LoopCore& core) : core_(core) {}
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;

  // Takes over a reference to `node`.
  void add(int fd, fibers::FdDirection direction, HandleNode* node);
  bool remove(int fd, fibers::FdDirection direction);
  void remove_all();
  std::size_t count(fibers::FdDirection direction) const { return counts_[index(direction)]; }
  // The callback has returned: whoever is paused for it is armed again.
  void resume(FdWatcher& watcher);
  // The loop starts to run.
  void resume_all();
  // A transport's: nobody else may watch it. Throws UsageError if somebody does.
  void claim(int fd, const TransportCore& transport);
  void disclaim(int fd) noexcept { claimed_[static_cast<std::size_t>(fd)] = nullptr; }

 private:
  static std::size_t index(fibers::FdDirection direction) {
    return direction == fibers::FdDirection::kRead ? 0 : 1;
  }
  FdWatcher*& slot(int fd, fibers::FdDirection direction);
  FdWatcher* find(int fd, fibers::FdDirection direction) const;
  void require_unclaimed(int fd) const;
  FdWatcher* take_watcher();
  void arm(FdWatcher& watcher);
  void drop(FdWatcher& watcher);
  // Of one that stands nowhere in the table.
  void retire(FdWatcher& watcher);
  static void on_ready(void* context);

  LoopCore& core_;
  std::array<std::vector<FdWatcher*>, 2> by_fd_;
  std::array<std::size_t, 2> counts_{};
  std::vector<std::unique_ptr<FdWatcher>> all_;
  std::vector<FdWatcher*> free_;
  std::vector<const TransportCore*> claimed_;  // By number.
};

}  // namespace weft::loop::detail
