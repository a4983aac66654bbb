// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/linkcheck/ledger.h"

namespace linkcheck {

// One line of the report: a URL, or one fragment of it, that somebody should look at.
struct Finding {
  UrlId url = kNoUrl;
  std::string fragment;  // when it is the fragment that leads nowhere
  std::string reason;
  std::vector<UrlId> redirects;     // the hops after `url`; empty when it does not redirect
  std::vector<Referrer> referrers;  // of this URL, or of this fragment
};

// What came of a check, computed once it is over. Sorted by reason, then by URL, so that two runs
// compare.
struct Findings {
  std::vector<Finding> dead;
  std::vector<Finding> notes;      // not dead, but not as it should be
  std::vector<Finding> redirects;  // lead to something that is alive

  std::uint64_t urls = 0;       // different URLs asked for or tried
  std::uint64_t pages = 0;      // parsed
  std::uint64_t links = 0;      // on these pages, all of them
  std::uint64_t fine = 0;       // URLs asked for that are neither dead nor unasked
  std::uint64_t listed = 0;     // on other hosts, not asked for
  std::uint64_t skipped = 0;    // other schemes
  std::uint64_t forbidden = 0;  // by robots.txt
  std::uint64_t unasked = 0;    // the check was stopped first
};

Findings find(const Ledger& ledger);

// "404 Not Found"; just the number when it has no name.
std::string status_text(int status);

}  // namespace linkcheck
