// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace linkcheck {

// What a robots.txt (RFC 9309) says to one program. Asked only about hosts that are not ours.
class Robots {
 public:
  Robots() = default;  // everything is allowed

  // The rules of the groups that name `agent`, else those of "*". Anything that is not understood
  // is skipped.
  Robots(std::string_view text, std::string_view agent);

  // `path` with its query. The longest rule that matches decides; of two equally long ones, the one
  // that allows.
  bool allows(std::string_view path) const;

 private:
  struct Rule {
    std::string pattern;
    bool allow;
  };
  std::vector<Rule> rules_;
};

// '*' stands for anything, a '$' at the end for the end; otherwise the pattern is a prefix.
bool robots_match(std::string_view pattern, std::string_view path);

}  // namespace linkcheck
