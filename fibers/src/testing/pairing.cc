// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/pairing.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace weft::fibers::detail {

namespace {

constexpr std::size_t kNone = ~std::size_t{0};

class Explainer {
 public:
  explicit Explainer(Pairing pairing)
      : p_(std::move(pairing)),
        raised_of_(p_.expected.size(), kNone),
        expected_of_(p_.raised.size(), kNone) {
    pair_in_order();
    for (std::size_t e = 0; e < p_.expected.size(); ++e) {
      std::vector<bool> visited(p_.raised.size());
      if (raised_of_[e] == kNone) make_room_for(e, visited);
    }
  }

  std::optional<std::string> explain() const {
    const std::vector<std::size_t> missing = unpaired(raised_of_);
    const std::vector<std::size_t> excess = unpaired(expected_of_);
    if (missing.empty() && excess.empty()) return std::nullopt;
    const std::size_t paired = p_.expected.size() - missing.size();
    std::string begin;
    if (paired > 0) {
      begin = std::to_string(paired) + " matched exception" + (paired == 1 ? ". " : "s. ");
    }
    if (also_matched(missing, excess)) return table(begin, missing, excess);
    if (missing.size() == 1 && excess.size() == 1) {
      return begin + *p_.reasons[missing[0]][excess[0]];
    }
    if (missing.empty()) {
      return begin + "Unexpected exception(s): [" + join(p_.raised, excess) + "]";
    }
    if (excess.empty()) {
      return begin + "Too few exceptions raised, found no match for: [" +
             join(p_.expected, missing) + "]";
    }
    return table(begin, missing, excess);
  }

 private:
  bool match(std::size_t e, std::size_t r) const { return !p_.reasons[e][r]; }

  void pair(std::size_t e, std::size_t r) {
    raised_of_[e] = r;
    expected_of_[r] = e;
  }

  // In the order of the expectations, which is what the reader of the text has in mind.
  void pair_in_order() {
    for (std::size_t e = 0; e < p_.expected.size(); ++e) {
      for (std::size_t r = 0; r < p_.raised.size(); ++r) {
        if (expected_of_[r] != kNone || !match(e, r)) continue;
        pair(e, r);
        break;
      }
    }
  }

  // Others may be paired otherwise.
  bool make_room_for(std::size_t e, std::vector<bool>& visited) {
    for (std::size_t r = 0; r < p_.raised.size(); ++r) {
      if (visited[r] || !match(e, r)) continue;
      visited[r] = true;
      if (expected_of_[r] != kNone && !make_room_for(expected_of_[r], visited)) continue;
      pair(e, r);
      return true;
    }
    return false;
  }

  static std::vector<std::size_t> unpaired(const std::vector<std::size_t>& partners) {
    std::vector<std::size_t> alone;
    for (std::size_t i = 0; i < partners.size(); ++i) {
      if (partners[i] == kNone) alone.push_back(i);
    }
    return alone;
  }

  // One that is left over would match one that has been paired: the reader wants to see both.
  bool also_matched(const std::vector<std::size_t>& missing,
                    const std::vector<std::size_t>& excess) const {
    for (const std::size_t e : missing) {
      for (std::size_t r = 0; r < p_.raised.size(); ++r) {
        if (match(e, r)) return true;
      }
    }
    for (const std::size_t r : excess) {
      for (std::size_t e = 0; e < p_.expected.size(); ++e) {
        if (match(e, r)) return true;
      }
    }
    return false;
  }

  static std::string join(const std::vector<std::string>& names,
                          const std::vector<std::size_t>& which) {
    std::string text;
    for (const std::size_t i : which) text += (text.empty() ? "" : ", ") + names[i];
    return text;
  }

  std::string table(const std::string& begin, const std::vector<std::size_t>& missing,
                    const std::vector<std::size_t>& excess) const {
    std::string text = begin.empty() ? "" : "\n" + begin.substr(0, begin.size() - 1);
    if (excess.empty()) text += "\nToo few exceptions raised!";
    if (missing.empty()) text += "\nUnexpected exception(s)!";
    if (!missing.empty()) text += "\nThe following expected exceptions did not find a match:";
    for (const std::size_t e : missing) add_missing(text, e);
    if (!excess.empty()) text += "\nThe following raised exceptions did not find a match:";
    for (const std::size_t r : excess) add_excess(text, r);
    return text;
  }

  void add_missing(std::string& text, std::size_t e) const {
    text += "\n  " + p_.expected[e];
    for (std::size_t r = 0; r < p_.raised.size(); ++r) {
      if (!match(e, r)) continue;
      text += "\n    It matches " + p_.raised[r] + " which was paired with " +
              p_.expected[expected_of_[r]];
    }
  }

  void add_excess(std::string& text, std::size_t r) const {
    text += "\n  " + p_.raised[r] + ":";
    for (std::size_t e = 0; e < p_.expected.size(); ++e) {
      if (match(e, r)) {
        text += "\n    It matches " + p_.expected[e] + " which was paired with " +
                p_.raised[raised_of_[e]];
      } else if (raised_of_[e] == kNone) {
        text += "\n" + indented(*p_.reasons[e][r]);
      }
    }
  }

  static std::string indented(const std::string& lines) {
    std::string text = "    ";
    for (const char c : lines) {
      text += c;
      if (c == '\n') text += "    ";
    }
    return text;
  }

  const Pairing p_;
  std::vector<std::size_t> raised_of_;
  std::vector<std::size_t> expected_of_;
};

}  // namespace

std::optional<std::string> explain(Pairing pairing) {
  return Explainer(std::move(pairing)).explain();
}

}  // namespace weft::fibers::detail
