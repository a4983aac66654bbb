// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
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
  std::uint32_t count;   // how often, on that page
  std::string fragment;  // decoded, without '#'
};

// Everything known about one URL. Filled by the task that asks for it.
struct UrlRecord {
  std::string url;
  UrlState state = UrlState::kPending;
  bool ours = false;
  bool start = false;     // given on the command line
  bool page = false;      // was parsed: `anchors` is meaningful
  bool complete = false;  // the page was read to its end, so that an absent anchor is really absent
  std::uint8_t redirects = 0;  // how many redirects led here
  int status = 0;
  UrlId redirect = kNoUrl;  // where a 3xx answer points
  std::string error;
  std::string note;  // worth telling, though the link is not dead
  std::string type;
  std::string method;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds elapsed{};
  std::vector<std::uint64_t> anchors;
  std::vector<Referrer> referrers;
};

// All URLs of a check, each once, and who links to whom. Ids count up from 0 in the order of
// discovery. Redirects are URLs of their own, so that a target that is linked directly as well is
// still asked for once.
class Ledger {
 public:
  // The id, and whether the URL is new.
  std::pair<UrlId, bool> add(std::string_view url);
  void link(UrlId page, UrlId target, std::string_view fragment, std::uint32_t count = 1);

  UrlRecord& operator[](UrlId id) { return records_[id]; }
  const UrlRecord& operator[](UrlId id) const { return records_[id]; }
  UrlId size() const { return static_cast<UrlId>(records_.size()); }

 private:
  std::deque<UrlRecord> records_;  // never moves a record: the index's keys point into them
  std::unordered_map<std::string_view, UrlId> index_;
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
