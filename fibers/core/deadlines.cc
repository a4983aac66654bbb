// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/deadlines.h"

#include <bit>
#include <utility>

namespace weft::fibers::detail {

namespace {

bool fires_before(const DeadlineNode& a, const DeadlineNode& b) {
  return a.when != b.when ? a.when < b.when : a.order < b.order;
}

DeadlineNode* merge(DeadlineNode* a, DeadlineNode* b) {
  DeadlineNode* first = nullptr;
  DeadlineNode** end = &first;
  while (a != nullptr && b != nullptr) {
    DeadlineNode*& earlier = fires_before(*b, *a) ? b : a;
    *end = earlier;
    end = &earlier->next;
    earlier = earlier->next;
  }
  *end = a != nullptr ? a : b;
  return first;
}

// Sorts a list linked by `next`. Bottom-up merge sort: runs[i] is empty or holds 2^i nodes.
DeadlineNode* sort(DeadlineNode* list) {
  std::array<DeadlineNode*, 48> runs{};
  while (list != nullptr) {
    DeadlineNode* run = list;
    list = list->next;
    run->next = nullptr;
    std::size_t i = 0;
    for (; runs[i] != nullptr; ++i) run = merge(std::exchange(runs[i], nullptr), run);
    runs[i] = run;
  }
  DeadlineNode* sorted = nullptr;
  for (DeadlineNode* run : runs) {
    if (run != nullptr) sorted = sorted == nullptr ? run : merge(run, sorted);
  }
  return sorted;
}

constexpr int kDue = 65;  // The bucket of nodes that are being fired.

}  // namespace

// Order-preserving: the most negative time becomes 0.
std::uint64_t Deadlines::ticks(Instant when) {
  return static_cast<std::uint64_t>(when.time_since_epoch().count()) ^ (std::uint64_t{1} << 63);
}

// Bucket 0: due already. Bucket b: the highest bit that differs from `last_` is b - 1.
int Deadlines::bucket_for(std::uint64_t when) const {
  return when <= last_ ? 0 : 64 - std::countl_zero(when ^ last_);
}

void Deadlines::push(DeadlineNode& node) {
  const int b = bucket_for(ticks(node.when));
  DeadlineNode*& first = buckets_[static_cast<std::size_t>(b)];
  node.bucket = b;
  node.prev = nullptr;
  node.next = first;
  if (first != nullptr) first->prev = &node;
  first = &node;
  if (b > 0) occupied_ |= std::uint64_t{1} << (b - 1);
}

void Deadlines::arm(DeadlineNode& node, Instant when) {
  node.when = when;
  node.order = next_order_++;
  push(node);
  ++size_;
}

void Deadlines::disarm(DeadlineNode& node) noexcept {
  const int b = node.bucket;
  DeadlineNode*& first = b == kDue ? due_ : buckets_[static_cast<std::size_t>(b)];
  if (node.next != nullptr) node.next->prev = node.prev;
  if (node.prev != nullptr) {
    node.prev->next = node.next;
  } else {
    first = node.next;
    if (first == nullptr && b > 0 && b != kDue) occupied_ &= ~(std::uint64_t{1} << (b - 1));
  }
  node.bucket = -1;
  --size_;
}

Instant Deadlines::lower_bound() const {
  if (buckets_[0] != nullptr) return kLongAgo;
  if (occupied_ == 0) return kForever;
  const int b = std::countr_zero(occupied_) + 1;
  const std::uint64_t bit = std::uint64_t{1} << (b - 1);
  const std::uint64_t bound = (last_ | bit) & ~(bit - 1);
  return Instant{Duration{static_cast<std::int64_t>(bound ^ (std::uint64_t{1} << 63))}};
}

Instant Deadlines::earliest() const {
  const std::size_t b =
      buckets_[0] != nullptr ? 0 : static_cast<std::size_t>(std::countr_zero(occupied_)) + 1;
  Instant earliest = kForever;
  if (b >= buckets_.size()) return earliest;
  for (const DeadlineNode* n = buckets_[b]; n != nullptr; n = n->next) {
    if (n->when < earliest) earliest = n->when;
  }
  return earliest;
}

// Takes out every node due at `now`, as a list. Buckets below that of `now` are due as a whole; the
// one of `now` itself is dealt out anew.
DeadlineNode* Deadlines::take_due(std::uint64_t now) {
  DeadlineNode* due = nullptr;
  const int last_bucket = bucket_for(now);
  last_ = now > last_ ? now : last_;
  for (int b = 0; b <= last_bucket; ++b) {
    DeadlineNode* node = std::exchange(buckets_[static_cast<std::size_t>(b)], nullptr);
    if (b > 0) occupied_ &= ~(std::uint64_t{1} << (b - 1));
    while (node != nullptr) {
      DeadlineNode* next = node->next;
      if (ticks(node->when) <= now) {
        node->bucket = kDue;
        node->next = due;
        due = node;
      } else {
        push(*node);
      }
      node = next;
    }
  }
  return due;
}

std::size_t Deadlines::expire(Instant now) {
  if (now < lower_bound()) return 0;
  due_ = sort(take_due(ticks(now)));
  for (DeadlineNode *node = due_, *before = nullptr; node != nullptr; node = node->next) {
    node->prev = std::exchange(before, node);
  }
  std::size_t fired = 0;
  while (due_ != nullptr) {
    DeadlineNode& node = *due_;
    disarm(node);
    ++fired;
    node.fire(node);
  }
  return fired;
}

}  // namespace weft::fibers::detail
