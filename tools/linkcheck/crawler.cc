// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/crawler.h"

#include <algorithm>
#include <utility>

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

using weft::fibers::CapacityLimiter;
using weft::fibers::LockGuard;
using weft::fibers::Nursery;

// More than can be busy; what waits longer need not be a task yet.
constexpr std::size_t kMostTasks = 1024;

class Borrowed {
 public:
  explicit Borrowed(CapacityLimiter& limiter) : limiter_(limiter) { limiter_.acquire(); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() { limiter_.release(); }

 private:
  CapacityLimiter& limiter_;
};

// Whether a path looks like a page, so that asking for its head first would be a wasted request.
bool looks_like_page(std::string_view path) {
  if (path.empty() || path.back() == '/') return true;
  for (const char* suffix : {".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp"}) {
    if (ends_with_ignoring_case(path, suffix)) return true;
  }
  return false;
}

constexpr char kOutsideNote[] =
    "a symbolic link out of the served directory (--follow-links reads it)";

bool has_suffix(std::string_view path) {
  return path.substr(path.rfind('/') + 1).find('.') != std::string_view::npos;
}

}  // namespace

Crawler::Crawler(Ledger& ledger, const CrawlOptions& options)
    : ledger_(ledger),
      options_(options),
      limiter_(options.jobs),
      most_tasks_(std::max(kMostTasks, 2 * std::size_t{options.jobs})) {}

void Crawler::add_start(const Resolved& url, bool served) {
  const UrlId id = ledger_.add(url.url).first;
  ledger_[id].start = true;
  if (!url.is_http()) {
    ledger_[id].state = UrlState::kMalformed;
    ledger_[id].error = url.problem;
    return;
  }
  ledger_[id].ours = true;
  our_hosts_.insert(host_of(url.url));
  if (served) served_hosts_.insert(host_of(url.url));
}

void Crawler::run() {
  weft::fibers::open_nursery([this](Nursery& nursery) {
    nursery_ = &nursery;
    const UrlId starts = ledger_.size();
    for (UrlId id = 0; id < starts; ++id) {
      if (ledger_[id].state == UrlState::kPending) start_task(id);
    }
  });
}

void Crawler::forget_failures_of_served() {
  for (UrlId id = 0; id < ledger_.size(); ++id) {
    UrlRecord& record = ledger_[id];
    const bool tried = record.state == UrlState::kFailed || record.state == UrlState::kAnswered;
    if (!tried || record.error.empty() || served_hosts_.count(host_of(record.url)) == 0) continue;
    record.state = UrlState::kPending;
    record.error.clear();
    record.exchange.reset();
  }
}

// Puts a URL on its way that has just been found.
void Crawler::begin(UrlId id) {
  UrlRecord& record = ledger_[id];
  record.ours = is_ours(record.url);
  if (record.ours || options_.external) {
    start_task(id);
  } else {
    record.state = UrlState::kListed;
  }
}

// A task's stack is some 12 KiB of memory, a number in the backlog 4 bytes. Links to other hosts do
// not queue up there: a slow host would hold up everything else.
void Crawler::start_task(UrlId id) {
  ++progress_.waiting;
  if (ledger_[id].ours && tasks_ >= most_tasks_) {
    backlog_.push_back(id);
  } else {
    start_now(id);
  }
}

void Crawler::start_now(UrlId id) {
  ++tasks_;
  ++progress_.tasks;
  nursery_->start_soon(
      [this, id] {
        check(id);
        done(id);
      },
      {.name = ledger_[id].url});
}

void Crawler::done(UrlId id) {
  --progress_.waiting;
  ++progress_.asked;
  const UrlRecord& record = ledger_[id];
  if (record.status() >= 400 || !record.error.empty()) ++progress_.failed;
  --tasks_;
  if (backlog_.empty() || tasks_ >= most_tasks_) return;
  const UrlId next = backlog_.front();
  backlog_.pop_front();
  start_now(next);
}

void Crawler::check(UrlId id) {
  if (!ledger_[id].ours) return check_other(id);
  const Borrowed job(limiter_);
  ask(id);
}

void Crawler::check_other(UrlId id) {
  const std::string& url = ledger_[id].url;
  std::unique_ptr<OtherHost>& host = other_hosts_[host_of(url)];
  if (!host) host = std::make_unique<OtherHost>();
  const Borrowed turn(host->limiter);
  const Borrowed job(limiter_);
  if (robots_allow(*host, url)) {
    ask(id);
  } else {
    ledger_[id].state = UrlState::kForbidden;
  }
}

bool Crawler::robots_allow(OtherHost& host, const std::string& url) {
  const LockGuard guard(host.asking);
  if (!host.asked) {
    ++progress_.requests;
    host.robots = fetch_robots(origin_of(url), options_.timeout);
    host.asked = true;
  }
  return host.robots.allows(path_and_query_of(url));
}

// HEAD where the answer's body would not be read, GET where it would be, or where HEAD did not do.
void Crawler::ask(UrlId id) {
  if (wants_body(id)) return store(id, ask_server(id, true));
  Fetched head = ask_server(id, false);
  const bool is_page = page_kind(head.type) != PageKind::kNone;
  const bool read_it =
      is_page && head.status < 300 && (ledger_[id].ours || anchors_wanted_.count(id) > 0);
  // Some servers do not know HEAD, or answer it wrongly; a 404 is believed once GET has said so
  // too.
  const bool doubtful = head.status >= 400 || head.rejected;
  if (read_it || doubtful) head = ask_server(id, true);
  store(id, std::move(head));
}

bool Crawler::wants_body(UrlId id) const {
  const UrlRecord& record = ledger_[id];
  if (!record.ours) return anchors_wanted_.count(id) > 0;
  if (record.start || looks_like_page(path_of(record.url))) return true;
  // On sites of others a path without a suffix is mostly a page; in a directory tree it is a
  // README.
  return !has_suffix(path_of(record.url)) && served_hosts_.count(host_of(record.url)) == 0;
}

Fetched Crawler::ask_server(UrlId id, bool body) {
  UrlRecord& record = ledger_[id];
  const bool served = served_hosts_.count(host_of(record.url)) > 0;
  const auto start = std::chrono::steady_clock::now();
  ++progress_.requests;
  Fetched fetched = fetch(
      record.url,
      {.body = body, .no_proxy = served, .timeout = options_.timeout, .limits = options_.limits});
  if (!record.exchange) record.exchange = std::make_unique<Exchange>();
  record.exchange->elapsed = std::chrono::steady_clock::now() - start;
  record.exchange->method = body ? "GET" : "HEAD";
  progress_.bytes += fetched.bytes;
  return fetched;
}

void Crawler::store(UrlId id, Fetched fetched) {
  UrlRecord& record = ledger_[id];
  record.state = fetched.status == 0 ? UrlState::kFailed : UrlState::kAnswered;
  record.error = std::move(fetched.error);
  Exchange& exchange = *record.exchange;
  exchange.status = fetched.status;
  exchange.note = fetched.outside ? kOutsideNote : std::move(fetched.note);
  exchange.type = std::move(fetched.type);
  exchange.bytes = fetched.bytes;
  if (fetched.status >= 300 && fetched.status < 400 && fetched.status != 304) {
    store_redirect(id, fetched.location);
  } else if (fetched.page) {
    store_page(id, std::move(*fetched.page));
  }
}

void Crawler::store_redirect(UrlId id, const std::string& location) {
  if (location.empty()) {
    ledger_[id].error = "redirects, but does not say where to";
    return;
  }
  const Resolved target = UrlResolver(ledger_[id].url).resolve(location);
  if (!target.is_http()) {
    const bool malformed = target.kind == UrlKind::kMalformed;
    ledger_[id].error = malformed ? "redirects to a malformed URL: " + target.problem
                                  : "redirects to another scheme: " + target.url;
    return;
  }
  if (ledger_[id].redirects >= kMostRedirects) {
    ledger_[id].error = "more than " + std::to_string(kMostRedirects) + " redirects";
    return;
  }
  // A start page that has moved takes the site with it.
  if (ledger_[id].start && ledger_[id].ours) our_hosts_.insert(host_of(target.url));
  const auto [next, fresh] = ledger_.add(target.url);
  ledger_[id].redirect = next;
  if (!fresh) return;
  ledger_[next].redirects = static_cast<std::uint8_t>(ledger_[id].redirects + 1);
  begin(next);
}

void Crawler::store_page(UrlId id, Page page) {
  UrlRecord& record = ledger_[id];
  record.page = true;
  record.complete = page.complete();
  record.exchange->anchors = std::move(page.anchors);
  if (record.ours) add_links(id, page);
}

void Crawler::add_links(UrlId id, const Page& page) {
  UrlResolver resolver(ledger_[id].url);
  if (!page.base.empty()) {
    const Resolved base = resolver.resolve(page.base);
    if (base.is_http()) resolver = UrlResolver(base.url);
  }
  for (const PageLink& link : page.links)
    add_link(id, resolver.resolve(link.reference), link.count);
}

void Crawler::add_link(UrlId page, const Resolved& target, std::uint32_t count) {
  const auto [id, fresh] = ledger_.add(target.url);
  ledger_.link(page, id, target.fragment, count);
  if (fresh && !target.is_http()) {
    const bool malformed = target.kind == UrlKind::kMalformed;
    ledger_[id].state = malformed ? UrlState::kMalformed : UrlState::kSkipped;
    ledger_[id].error = target.problem;
  } else if (fresh) {
    if (!target.fragment.empty()) anchors_wanted_.insert(id);
    begin(id);
  } else if (!target.fragment.empty() && options_.external && !ledger_[id].ours) {
    want_anchors(id);
  }
}

// Somebody links to a fragment of a URL of another host, which perhaps was only asked whether it is
// there.
void Crawler::want_anchors(UrlId id) {
  const UrlRecord& record = ledger_[id];
  const bool first = anchors_wanted_.insert(id).second;
  const bool was_page = record.state == UrlState::kAnswered && record.status() < 300 &&
                        page_kind(record.exchange->type) != PageKind::kNone;
  if (first && was_page && !record.page) start_task(id);
}

}  // namespace linkcheck
