// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "tools/linkcheck/fetch.h"
#include "tools/linkcheck/ledger.h"
#include "tools/linkcheck/robots.h"
#include "tools/linkcheck/urls.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/nursery.h"

namespace linkcheck {

struct CrawlOptions {
  std::uint32_t jobs = 16;
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  bool external = false;
  PageLimits limits;
};

// For the progress line.
struct CrawlProgress {
  std::uint64_t asked = 0;    // URLs that we have an answer for, or know that there is none
  std::uint64_t waiting = 0;  // found, and not done with
  std::uint64_t failed = 0;   // an error, or a status of 400 and more
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint64_t tasks = 0;  // started, one a URL
};

// Checks everything that can be reached from the start URLs: one task a URL, in one nursery, a
// thousand or so at a time, of which a limiter lets so many ask. Pages of the start URLs' hosts are
// read for more links; other URLs are only asked whether they are there. What is found goes into
// the ledger as it is found, so that nothing is lost when the check is cancelled.
class Crawler {
 public:
  Crawler(Ledger& ledger, const CrawlOptions& options);

  // Before run(). `served`: the URL's server is in this process.
  void add_start(const Resolved& url, bool served);

  // Blocks: yes, until everything has been checked.
  // Cancel: at once; URLs that were being asked for stay pending.
  // Threads: the run's own only.
  void run();

  // After a run() that a lack of this process has ended: what our own servers did not answer, they
  // may not have answered for that. These URLs count as not asked for.
  void forget_failures_of_served();

  const CrawlProgress& progress() const { return progress_; }

 private:
  // A host that is not ours: a few requests at a time, and its robots.txt obeyed.
  struct OtherHost {
    weft::fibers::CapacityLimiter limiter{4};
    weft::fibers::Lock asking;
    bool asked = false;
    Robots robots;
  };

  void begin(UrlId id);
  void start_task(UrlId id);
  void start_now(UrlId id);
  void done(UrlId id);
  void check(UrlId id);
  void check_other(UrlId id);
  bool robots_allow(OtherHost& host, const std::string& url);
  void ask(UrlId id);
  Fetched ask_server(UrlId id, bool body);
  bool wants_body(UrlId id) const;
  void store(UrlId id, Fetched fetched);
  void store_redirect(UrlId id, const std::string& location);
  void store_page(UrlId id, Page page);
  void add_links(UrlId id, const Page& page);
  void add_link(UrlId page, const Resolved& target, std::uint32_t count);
  void want_anchors(UrlId id);
  bool is_ours(const std::string& url) const { return our_hosts_.count(host_of(url)) > 0; }

  Ledger& ledger_;
  CrawlOptions options_;
  CrawlProgress progress_;
  weft::fibers::CapacityLimiter limiter_;
  weft::fibers::Nursery* nursery_ = nullptr;
  std::size_t most_tasks_;
  std::size_t tasks_ = 0;      // living
  std::deque<UrlId> backlog_;  // found, and no task yet
  std::set<std::string> our_hosts_;
  std::set<std::string> served_hosts_;
  std::map<std::string, std::unique_ptr<OtherHost>> other_hosts_;
  std::set<UrlId> anchors_wanted_;  // of other hosts: somebody links to a fragment of them
};

}  // namespace linkcheck
