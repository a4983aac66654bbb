// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/ledger.h"

#include <algorithm>

namespace linkcheck {

std::pair<UrlId, bool> Ledger::add(std::string_view url) {
  if (const auto known = index_.find(url); known != index_.end()) return {known->second, false};
  const UrlId id = size();
  UrlRecord& record = records_.emplace_back();
  record.url = std::string(url);
  index_.emplace(record.url, id);
  return {id, true};
}

std::uint32_t Ledger::fragment_id(std::string_view fragment) {
  const auto known = fragment_index_.find(fragment);
  if (known != fragment_index_.end()) return known->second;
  const auto id = static_cast<std::uint32_t>(fragments_.size());
  fragment_index_.emplace(fragments_.emplace_back(fragment), id);
  return id;
}

void Ledger::link(UrlId page, UrlId target, std::string_view fragment, std::uint32_t count) {
  const std::uint32_t part = fragment_id(fragment);
  std::vector<Referrer>& referrers = records_[target].referrers;
  // A page's links arrive together: its earlier ones to the same target are at the end of the list.
  // Only a few of them are looked at, so that a page with 10,000 different fragments of one target
  // stays cheap.
  constexpr std::size_t kLooked = 8;
  std::size_t looked = 0;
  for (auto at = referrers.rbegin(); at != referrers.rend() && looked < kLooked; ++at, ++looked) {
    if (at->page != page) break;
    if (at->fragment != part) continue;
    at->count += count;
    return;
  }
  referrers.push_back({page, count, part});
}

RedirectChain follow_redirects(const Ledger& ledger, UrlId id) {
  RedirectChain chain;
  chain.hops.push_back(id);
  while (ledger[chain.end()].redirect != kNoUrl) {
    const UrlId next = ledger[chain.end()].redirect;
    chain.loop = std::find(chain.hops.begin(), chain.hops.end(), next) != chain.hops.end();
    chain.hops.push_back(next);
    if (chain.loop) break;
  }
  return chain;
}

}  // namespace linkcheck
