// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/robots.h"

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

struct Line {
  std::string key;
  std::string_view value;
};

Line parse_line(std::string_view text) {
  text = trimmed(text.substr(0, text.find('#')));
  const std::string_view key = take_until(text, ':');
  return {lowered(trimmed(key)), trimmed(text)};
}

bool names_agent(std::string_view value, std::string_view agent) {
  // "linkcheck/1.0" is written too; what follows the name does not count.
  const std::string_view name = value.substr(0, value.find_first_of("/ \t"));
  return equal_ignoring_case(name, agent);
}

}  // namespace

Robots::Robots(std::string_view text, std::string_view agent) {
  std::vector<Rule> for_all;
  bool ours = false;
  bool all = false;
  bool named = false;      // some group named us: then only those count, even when they are empty
  bool in_agents = false;  // several User-agent lines in a row share the rules that follow
  while (!text.empty()) {
    const Line line = parse_line(take_until(text, '\n'));
    if (line.key == "user-agent") {
      if (!in_agents) ours = all = false;
      in_agents = true;
      ours = ours || names_agent(line.value, agent);
      all = all || line.value == "*";
      named = named || ours;
    } else if (line.key == "allow" || line.key == "disallow") {
      in_agents = false;
      if (line.value.empty()) continue;  // "Disallow:" forbids nothing
      Rule rule{std::string(line.value), line.key == "allow"};
      if (all) for_all.push_back(rule);
      if (ours) rules_.push_back(std::move(rule));
    }
  }
  if (!named) rules_ = std::move(for_all);
}

bool Robots::allows(std::string_view path) const {
  const Rule* best = nullptr;
  for (const Rule& rule : rules_) {
    if (!robots_match(rule.pattern, path)) continue;
    const bool longer = best == nullptr || rule.pattern.size() > best->pattern.size();
    const bool equal = best != nullptr && rule.pattern.size() == best->pattern.size();
    if (longer || (equal && rule.allow)) best = &rule;
  }
  return best == nullptr || best->allow;
}

bool robots_match(std::string_view pattern, std::string_view path) {
  const bool to_end = !pattern.empty() && pattern.back() == '$';
  if (to_end) pattern.remove_suffix(1);
  // Greedy with one point of return: linear in practice, and never worse than pattern times path.
  std::size_t p = 0;
  std::size_t at = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (true) {
    if (p == pattern.size() && (!to_end || at == path.size())) return true;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = at;
    } else if (p < pattern.size() && at < path.size() && pattern[p] == path[at]) {
      ++p;
      ++at;
    } else if (star != std::string_view::npos && resume < path.size()) {
      p = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
}

}  // namespace linkcheck
