// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Generators, as a program may build them on greenlets: they yield from any depth, and past each
// other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <any>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/fibers/greenlet_testing.h"
#include "weft/fibers/greenlet.h"

namespace weft::fibers {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

template <class T>
class Generator {
 public:
  explicit Generator(std::function<void()> body)
      : greenlet_([this, body = std::move(body)] {
          body();
          inner_ = nullptr;
        }) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator() { generators().erase(this); }

  // The next value, or nothing at the end. Goes on in whoever has yielded past this one, if
  // anybody.
  std::optional<T> next() {
    const Greenlet target = std::exchange(inner_, nullptr);
    if (target == nullptr) greenlet_.set_parent(getcurrent());
    generators().insert(this);
    std::any value = (target != nullptr ? target : greenlet_).switch_to();
    if (!greenlet_) return std::nullopt;
    return std::any_cast<T>(std::move(value));
  }

  // Hands `value` to whoever has called next() of the innermost generator, or of one further out.
  static void yield(T value, int level = 1) {
    Greenlet to = getcurrent();
    for (; level > 0; --level) {
      Generator* generator = of(to);
      if (generator == nullptr) throw std::logic_error("yield outside a generator");
      if (Generator* outer = level > 1 ? of(to.parent()) : nullptr) outer->inner_ = to;
      to = to.parent();
    }
    to.switch_to(std::move(value));
  }

 private:
  struct Registry {
    void insert(Generator* g) {
      erase(g);
      all.push_back(g);
    }
    void erase(Generator* g) { std::erase(all, g); }
    std::vector<Generator*> all;
  };
  static Registry& generators() {
    static thread_local Registry registry;
    return registry;
  }
  static Generator* of(const Greenlet& greenlet) {
    for (Generator* g : generators().all) {
      if (g->greenlet_ == greenlet) return g;
    }
    return nullptr;
  }

  Greenlet greenlet_;
  Greenlet inner_ = nullptr;
};

using Numbers = Generator<int>;

template <class T>
std::vector<T> all_of(Generator<T>& generator) {
  std::vector<T> values;
  while (auto value = generator.next()) values.push_back(*value);
  return values;
}

// greenlet: test_generator.py::test_generator
TEST(GreenletGeneratorTest, TheConsumerAndTheGeneratorAlternate) {
  std::vector<int> seen;
  for (int round = 0; round < 3; ++round) {
    Numbers numbers([&] {
      for (int i = 0; i < 3; ++i) {
        seen.push_back(i);
        Numbers::yield(i);
      }
    });
    while (auto n = numbers.next()) seen.push_back(*n);
  }
  EXPECT_THAT(seen, ElementsAre(0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2));
}

void yield_nested(int i) {
  Numbers::yield(i);
}

// greenlet: test_generator_nested.py::test_genlet_simple
TEST(GreenletGeneratorTest, YieldsFromANestedCall) {
  std::vector<int> seen;
  Numbers numbers([&] {
    for (int i = 0; i < 5; ++i) {
      seen.push_back(i + 1);
      yield_nested(i);
    }
  });
  while (auto n = numbers.next()) seen.push_back(*n);
  EXPECT_THAT(seen, ElementsAre(1, 0, 2, 1, 3, 2, 4, 3, 5, 4));
}

// greenlet: test_generator_nested.py::test_genlet_bad
TEST(GreenletGeneratorTest, AYieldOutsideAGeneratorIsAnError) {
  EXPECT_THROW(Numbers::yield(10), std::logic_error);
}

void count_down(int n) {
  if (n == 0) return;
  Numbers below([n] { count_down(n - 1); });
  while (auto i = below.next()) Numbers::yield(*i);
  Numbers::yield(n);
}

// greenlet: test_generator_nested.py::test_nested_genlets
TEST(GreenletGeneratorTest, GeneratorsMayConsumeEachOther) {
  Numbers numbers([] { count_down(5); });
  EXPECT_THAT(all_of(numbers), ElementsAre(1, 2, 3, 4, 5));
}

// greenlet: test_generator_nested.py::test_layered_genlets
TEST(GreenletGeneratorTest, AGeneratorMayYieldPastAnother) {
  std::vector<int> seen;
  Numbers outer([&] {
    Numbers inner([] {
      for (int i = 1; i < 5; ++i) {
        Numbers::yield(i);
        Numbers::yield(i * i, 2);
      }
    });
    while (auto i = inner.next()) seen.push_back(*i);
  });
  while (auto i = outer.next()) seen.push_back(*i);
  EXPECT_THAT(seen, ElementsAre(1, 1, 2, 4, 3, 9, 4, 16));
}

using Permutations = Generator<std::vector<int>>;

void permute(const std::vector<int>& items) {
  if (items.size() <= 1) return Permutations::yield(items);
  for (const int first : items) {
    std::vector<int> others = items;
    std::erase(others, first);
    Permutations below([&] { permute(others); });
    while (auto rest = below.next()) {
      rest->insert(rest->begin(), first);
      Permutations::yield(*rest);
    }
  }
}

// greenlet: test_generator_nested.py::test_permutations
TEST(GreenletGeneratorTest, Permutations) {
  Permutations four([] { permute({0, 1, 2, 3}); });
  Permutations three([] { permute({0, 1, 2}); });
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(four.next()->size(), 4U);
    EXPECT_EQ(three.next()->size(), 3U);
  }
  const auto rest = all_of(four);
  EXPECT_EQ(rest.size(), 4U * 3 * 2 - 3);
  EXPECT_THAT(rest, Contains(std::vector<int>{3, 2, 1, 0}));
  EXPECT_EQ(all_of(three).size(), 3U);
}

}  // namespace
}  // namespace weft::fibers
