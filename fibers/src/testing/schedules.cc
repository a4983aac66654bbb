// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/schedules.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/task.h"

namespace weft::fibers::testing {

namespace {

// splitmix64: the same sequence everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }

 private:
  std::uint64_t state_;
};

// --- A schedule that is a list of choices: "s0102", a digit a choice, in base 36; larger ones in
// parentheses. What follows the last one is zeros. ---

constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";

std::string list_token(std::vector<std::size_t> choices) {
  while (!choices.empty() && choices.back() == 0) choices.pop_back();
  std::string token = "s";
  for (const std::size_t choice : choices) {
    if (choice < kDigits.size()) {
      token += kDigits[choice];
    } else {
      token += '(' + std::to_string(choice) + ')';
    }
  }
  return token;
}

class TokenReader {
 public:
  explicit TokenReader(const std::string& token) : token_(token), rest_(token) {}

  char kind() {
    if (rest_.empty()) fail();
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  std::vector<std::size_t> list() {
    std::vector<std::size_t> choices;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (const auto digit = kDigits.find(c); digit != kDigits.npos) {
        rest_.remove_prefix(1);
        choices.push_back(digit);
      } else {
        skip('(');
        choices.push_back(number());
        skip(')');
      }
    }
    return choices;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) fail();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  void skip(char c) {
    if (kind() != c) fail();
  }
  void end() const {
    if (!rest_.empty()) fail();
  }
  [[noreturn]] void fail() const {
    throw UsageError("'" + token_ +
                     "' is not the token of a schedule; copy it from the message of the failure");
  }

 private:
  const std::string& token_;
  std::string_view rest_;
};

class Listed final : public Schedules {
 public:
  explicit Listed(std::vector<std::size_t> choices) : choices_(std::move(choices)) {}

  void begin() override { at_ = 0; }
  std::size_t choose(const ReadyTasks& ready, const Exploration&) override {
    const std::size_t choice = at_ < choices_.size() ? choices_[at_] : 0;
    ++at_;
    if (choice < ready.size()) return choice;
    misfit_ = true;
    return 0;
  }
  std::string token(const std::vector<std::size_t>& choices) const override {
    return list_token(choices);
  }
  bool next(std::size_t) override {
    if (misfit_ || at_ < choices_.size()) {
      throw UsageError("the token '" + list_token(choices_) +
                       "' belongs to another body: there were fewer choices to make than it holds");
    }
    return false;
  }

 private:
  std::vector<std::size_t> choices_;
  std::size_t at_ = 0;
  bool misfit_ = false;
};

class Exhaustive final : public Schedules {
 public:
  explicit Exhaustive(const ExploreOptions& options) : most_(options.choices) {}

  void begin() override {
    at_ = 0;
    follow_ = false;
  }

  std::size_t choose(const ReadyTasks& ready, const Exploration& exploration) override {
    if (follow_) return 0;
    if (at_ < path_.size()) {
      if (path_[at_].ready != ready.size()) {
        throw UsageError("the body does not do the same when it is run again: after the same " +
                         std::to_string(at_) + " choices " + std::to_string(path_[at_].ready) +
                         " tasks were ready, and now " + std::to_string(ready.size()) +
                         "; it must not depend on real time, threads, addresses or what an "
                         "earlier schedule left behind");
      }
      return path_[at_++].chosen;
    }
    if (at_ == most_) {
      cut_ = follow_ = true;
      return 0;
    }
    if (seen_before(ready, exploration)) {
      ++pruned_;
      follow_ = true;
      return 0;
    }
    path_.push_back({0, ready.size()});
    ++at_;
    return 0;
  }

  std::string token(const std::vector<std::size_t>& choices) const override {
    return list_token(choices);
  }

  bool next(std::size_t) override {
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().ready) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }
  bool exhausted() const override { return path_.empty() && !cut_; }
  std::uint64_t pruned() const override { return pruned_; }

 private:
  struct Choice {
    std::size_t chosen;
    std::size_t ready;
  };

  bool seen_before(const ReadyTasks& ready, const Exploration& exploration) {
    if (!exploration.rest()) return false;
    const std::uint64_t tasks = ready.state_hash();
    return tasks != 0 && !seen_.emplace(tasks, exploration.rest()()).second;
  }

  const std::size_t most_;
  std::vector<Choice> path_;
  std::size_t at_ = 0;
  bool follow_ = false;  // The rest of this schedule is not branched at.
  bool cut_ = false;
  std::uint64_t pruned_ = 0;
  absl::flat_hash_set<std::pair<std::uint64_t, std::uint64_t>> seen_;
};

class AtRandom final : public Schedules {
 public:
  explicit AtRandom(std::uint64_t seed) : seeds_(seed), seed_(seed) {}

  void begin() override { random_ = Random(seed_); }
  std::size_t choose(const ReadyTasks& ready, const Exploration&) override {
    return random_.below(ready.size());
  }
  std::string token(const std::vector<std::size_t>&) const override {
    return "r" + std::to_string(seed_);
  }
  bool next(std::size_t) override {
    seed_ = seeds_.next();
    return true;
  }

 private:
  Random seeds_;
  std::uint64_t seed_;
  Random random_{0};
};

class Pct final : public Schedules {
 public:
  Pct(std::uint64_t seed, unsigned depth, std::uint64_t length)
      : seeds_(seed), seed_(seed), depth_(depth), length_(length) {
    if (depth == 0) throw UsageError("ExploreOptions::depth has to be at least 1");
  }

  void begin() override {
    random_ = Random(seed_);
    run_length_ = length_;
    priorities_.clear();
    at_ = 0;
    changes_.clear();
    for (unsigned i = 1; i < depth_; ++i) changes_.push_back(random_.below(run_length_) + 1);
  }

  std::size_t choose(const ReadyTasks& ready, const Exploration&) override {
    // Taken from the highest at the next choice: it is the one that has run.
    ++at_;
    for (unsigned i = 0; i < changes_.size(); ++i) {
      if (changes_[i] == at_) priorities_[running_] = i;
    }
    std::size_t best = 0;
    for (std::size_t i = 0; i < ready.size(); ++i) {
      if (priority(ready[i]) > priority(ready[best])) best = i;
    }
    running_ = ready[best].id();
    return best;
  }
  std::string token(const std::vector<std::size_t>&) const override {
    return "p" + std::to_string(seed_) + "." + std::to_string(depth_) + "." +
           std::to_string(run_length_);
  }
  bool next(std::size_t choices) override {
    seed_ = seeds_.next();
    length_ = std::max<std::uint64_t>(length_, choices);
    return true;
  }

 private:
  // Above all that a change can give, and all different.
  std::uint64_t priority(const Task& task) {
    const auto [found, is_new] = priorities_.try_emplace(task.id(), 0);
    if (is_new) found->second = depth_ + (random_.next() >> 1);
    return found->second;
  }

  Random seeds_;
  std::uint64_t seed_;
  const unsigned depth_;
  std::uint64_t length_;          // The most choices of a schedule so far,
  std::uint64_t run_length_ = 1;  // and when this one began.
  Random random_{0};
  absl::flat_hash_map<std::uint64_t, std::uint64_t> priorities_;
  std::vector<std::uint64_t> changes_;  // At which choices.
  std::uint64_t at_ = 0;
  std::uint64_t running_ = 0;
};

}  // namespace

std::unique_ptr<Schedules> make_schedules(const ExploreOptions& options) {
  switch (options.strategy) {
    case Strategy::kRandom:
      return std::make_unique<AtRandom>(options.seed);
    case Strategy::kPct:
      return std::make_unique<Pct>(options.seed, options.depth, 1);
    case Strategy::kExhaustive:
      break;
  }
  return std::make_unique<Exhaustive>(options);
}

std::unique_ptr<Schedules> replay_of(const std::string& token) {
  TokenReader reader(token);
  switch (reader.kind()) {
    case 's':
      return std::make_unique<Listed>(reader.list());
    case 'r': {
      const std::uint64_t seed = reader.number();
      reader.end();
      return std::make_unique<AtRandom>(seed);
    }
    case 'p': {
      const std::uint64_t seed = reader.number();
      reader.skip('.');
      const std::uint64_t depth = reader.number();
      reader.skip('.');
      const std::uint64_t length = reader.number();
      reader.end();
      if (depth == 0 || depth > 1000 || length == 0) reader.fail();
      return std::make_unique<Pct>(seed, static_cast<unsigned>(depth), length);
    }
    default:
      reader.fail();
  }
}

}  // namespace weft::fibers::testing
