// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace linkcheck {

using UrlId = std::uint32_t;
constexpr UrlId kNoUrl = UINT32_MAX;

enum class UrlState : std::uint8_t {
  kPending,    // found, and not asked for yet: what is left of it when the check is stopped
  kAnswered,   // a server answered with `status`; `error` tells when its body was not what it
               // promised
  kFailed,     // no answer; `error` says why
  kMalformed,  // not a URL; `error` says why
  kSkipped,    // mailto:, javascript: ...; `error` holds the scheme
  kListed,     // on a host that is not ours, and nobody asked to ask there
  kForbidden,  // robots.txt of a host that is not ours says no
};

// That a page links here.
struct Referrer {
  UrlId page;
  std::uint32_t count;     // how often, on that page
  std::uint32_t fragment;  // Ledger::fragment() tells which; 0 for none
};

// What asking for a URL brought.
struct Exchange {
  int status = 0;
  std::string type;
  std::string method;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds elapsed{};
  std::vector<std::uint64_t> anchors;  // of a page
  std::string note;                    // worth telling, though the link is not dead
};

// Everything known about one URL. Filled by the task that asks for it. Small, because most URLs of
// a documentation tree are on other hosts and never asked for.
struct UrlRecord {
  std::string url;
  UrlState state = UrlState::kPending;
  bool ours = false;
  bool start = false;     // given on the command line
  bool page = false;      // was parsed: the anchors are meaningful
  bool complete = false;  // the page was read to its end, so that an absent anchor is really absent
  std::uint8_t redirects = 0;  // how many redirects led here
  UrlId redirect = kNoUrl;     // where a 3xx answer points
  std::string error;
  std::unique_ptr<Exchange> exchange;  // null until there was one
  std::vector<Referrer> referrers;

  int status() const { return exchange ? exchange->status : 0; }
};

// All URLs of a check, each once, and who links to whom. Ids count up from 0 in the order of
// discovery. Redirects are URLs of their own, so that a target that is linked directly as well is
// still asked for once.
class Ledger {
 public:
  // The id, and whether the URL is new.
  std::pair<UrlId, bool> add(std::string_view url);
  void link(UrlId page, UrlId target, std::string_view fragment, std::uint32_t count = 1);

  // Decoded, without '#'.
  const std::string& fragment(std::uint32_t id) const { return fragments_[id]; }

  UrlRecord& operator[](UrlId id) { return records_[id]; }
  const UrlRecord& operator[](UrlId id) const { return records_[id]; }
  UrlId size() const { return static_cast<UrlId>(records_.size()); }

 private:
  std::uint32_t fragment_id(std::string_view fragment);

  std::deque<UrlRecord> records_;  // never moves a record: the index's keys point into them
  std::unordered_map<std::string_view, UrlId> index_;
  std::deque<std::string> fragments_{""};
  std::unordered_map<std::string_view, std::uint32_t> fragment_index_{{"", 0}};
};

// Where a URL leads: itself, then each redirect's target. Ends at the first URL that does not
// redirect, or at one that is already in the chain.
struct RedirectChain {
  std::vector<UrlId> hops;
  bool loop = false;

  UrlId end() const { return hops.back(); }
};
RedirectChain follow_redirects(const Ledger& ledger, UrlId id);

constexpr int kMostRedirects = 20;

}  // namespace linkcheck
