// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/deadlines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace weft::fibers::detail {
namespace {

using ::testing::ElementsAre;

Instant at(std::int64_t when) {
  return Instant{Duration{when}};
}

struct Node : DeadlineNode {
  explicit Node(std::vector<int>& list, int number) : fired(list), id(number) {
    fire = [](DeadlineNode& node) {
      auto& me = static_cast<Node&>(node);
      me.fired.push_back(me.id);
      if (me.then) me.then();
    };
  }
  bool armed() const { return bucket >= 0; }
  std::vector<int>& fired;
  int id;
  std::function<void()> then;
};

TEST(DeadlinesTest, FireInOrderAndEqualOnesInTheOrderOfArming) {
  Deadlines deadlines;
  std::vector<int> fired;
  std::deque<Node> nodes;
  const std::int64_t times[] = {50, 10, 30, 10, 50, 10};
  for (int i = 0; i < 6; ++i) deadlines.arm(nodes.emplace_back(fired, i), at(times[i]));
  EXPECT_EQ(deadlines.size(), 6U);
  EXPECT_EQ(deadlines.expire(at(9)), 0U);
  EXPECT_EQ(deadlines.expire(at(30)), 4U);
  EXPECT_THAT(fired, ElementsAre(1, 3, 5, 2));
  EXPECT_EQ(deadlines.expire(at(1000)), 2U);
  EXPECT_THAT(fired, ElementsAre(1, 3, 5, 2, 0, 4));
  EXPECT_EQ(deadlines.size(), 0U);
  EXPECT_EQ(deadlines.lower_bound(), kForever);
}

TEST(DeadlinesTest, ADisarmedOneDoesNotFire) {
  Deadlines deadlines;
  std::vector<int> fired;
  Node a(fired, 1);
  Node b(fired, 2);
  deadlines.arm(a, at(10));
  deadlines.arm(b, at(10));
  deadlines.disarm(a);
  EXPECT_FALSE(a.armed());
  deadlines.expire(at(10));
  EXPECT_THAT(fired, ElementsAre(2));
}

TEST(DeadlinesTest, OneThatIsPastFiresAtTheNextExpire) {
  Deadlines deadlines;
  std::vector<int> fired;
  Node old(fired, 1);
  Node oldest(fired, 2);
  deadlines.expire(at(1000));
  deadlines.arm(old, at(500));
  deadlines.arm(oldest, kLongAgo);
  EXPECT_LE(deadlines.lower_bound(), at(500));
  EXPECT_EQ(deadlines.earliest(), kLongAgo);
  deadlines.expire(at(1000));
  EXPECT_THAT(fired, ElementsAre(2, 1));
}

TEST(DeadlinesTest, TheWholeRangeOfTimeWorks) {
  Deadlines deadlines;
  std::vector<int> fired;
  std::deque<Node> nodes;
  const Instant times[] = {kForever - Duration(1), at(1), at(-1), kLongAgo, at(0),
                           kLongAgo + Duration(1)};
  for (int i = 0; i < 6; ++i) deadlines.arm(nodes.emplace_back(fired, i), times[i]);
  deadlines.expire(at(-1));
  EXPECT_THAT(fired, ElementsAre(3, 5, 2));
  deadlines.expire(kForever - Duration(1));
  EXPECT_THAT(fired, ElementsAre(3, 5, 2, 4, 1, 0));
}

TEST(DeadlinesTest, FiringMayDisarmOthersThatAreDue) {
  Deadlines deadlines;
  std::vector<int> fired;
  std::deque<Node> nodes;
  for (int i = 0; i < 5; ++i) deadlines.arm(nodes.emplace_back(fired, i), at(i));
  nodes[0].then = [&] {
    deadlines.disarm(nodes[1]);
    deadlines.disarm(nodes[4]);
  };
  nodes[2].then = [&] { deadlines.disarm(nodes[3]); };
  deadlines.expire(at(100));
  EXPECT_THAT(fired, ElementsAre(0, 2));
  EXPECT_EQ(deadlines.size(), 0U);
}

TEST(DeadlinesTest, FiringMayArmAgain) {
  Deadlines deadlines;
  std::vector<int> fired;
  Node repeating(fired, 1);
  repeating.then = [&] { deadlines.arm(repeating, at(50)); };
  deadlines.arm(repeating, at(10));
  EXPECT_EQ(deadlines.expire(at(100)), 1U);  // Once a call, or this would never end.
  EXPECT_EQ(deadlines.expire(at(100)), 1U);
  deadlines.disarm(repeating);
}

// Who sleeps until lower_bound() and expires gets to the deadline in at most 64 steps, never late.
TEST(DeadlinesTest, LowerBoundLeadsToTheEarliestDeadline) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    Deadlines deadlines;
    std::vector<int> fired;
    Node node(fired, 1);
    const auto shift = static_cast<int>(random() % 62);
    const Instant start = at(static_cast<std::int64_t>(random() >> 2));
    const Instant when = start + Duration(static_cast<std::int64_t>(random() >> (shift + 2)) + 1);
    deadlines.expire(start);
    deadlines.arm(node, when);
    EXPECT_EQ(deadlines.earliest(), when);
    int steps = 0;
    for (; fired.empty() && steps <= 65; ++steps) {
      const Instant bound = deadlines.lower_bound();
      ASSERT_LE(bound, when);
      deadlines.expire(bound);
      ASSERT_EQ(fired.empty(), bound < when);
    }
    EXPECT_LE(steps, 64);
  }
}

// Against a sorted set, with all that can be done to it in random order.
class DeadlinesModel {
 public:
  explicit DeadlinesModel(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < kNodes; ++i) nodes_.emplace_back(fired_, i);
  }

  void step() {
    Node& node = nodes_[random_() % kNodes];
    if (random_() % 8 == 0) {
      expire();
    } else if (node.armed()) {
      deadlines_.disarm(node);
      std::erase_if(reference_,
                    [&](const auto& r) { return r.second == std::pair(order_of(node), node.id); });
    } else {
      arm(node);
    }
    ASSERT_EQ(deadlines_.size(), reference_.size());
    const Instant earliest = reference_.empty() ? kForever : reference_.begin()->first;
    ASSERT_EQ(deadlines_.earliest(), earliest);
    ASSERT_LE(deadlines_.lower_bound(), earliest);
  }

 private:
  static constexpr int kNodes = 64;
  using Key = std::pair<Instant, std::pair<std::uint64_t, int>>;

  std::uint64_t order_of(const Node& node) const {
    return order_[static_cast<std::size_t>(node.id)];
  }

  void arm(Node& node) {
    // Near and far, a few in the past, many equal.
    const int magnitude = static_cast<int>(random_() % 40);
    const auto distance = static_cast<std::int64_t>(random_() % (std::uint64_t{1} << magnitude));
    const Instant when = now_ + Duration(distance / 4 * 4 - 8);
    deadlines_.arm(node, when);
    order_[static_cast<std::size_t>(node.id)] = ++counter_;
    reference_.insert({when, {counter_, node.id}});
  }

  void expire() {
    const int magnitude = static_cast<int>(random_() % 40);
    now_ += Duration(static_cast<std::int64_t>(random_() % (std::uint64_t{1} << magnitude)));
    std::vector<int> expected;
    while (!reference_.empty() && reference_.begin()->first <= now_) {
      expected.push_back(reference_.begin()->second.second);
      reference_.erase(reference_.begin());
    }
    fired_.clear();
    deadlines_.expire(now_);
    ASSERT_EQ(fired_, expected);
  }

  std::mt19937_64 random_;
  Deadlines deadlines_;
  std::vector<int> fired_;
  std::deque<Node> nodes_;
  std::set<Key> reference_;
  std::vector<std::uint64_t> order_ = std::vector<std::uint64_t>(kNodes);
  std::uint64_t counter_ = 0;
  Instant now_ = at(1'000'000);
};

TEST(DeadlinesTest, AgreeWithASortedSetUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    DeadlinesModel model(seed);
    for (int i = 0; i < 2000; ++i) {
      model.step();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace weft::fibers::detail
