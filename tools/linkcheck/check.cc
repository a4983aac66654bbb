// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/check.h"

#include <dirent.h>
#include <sys/resource.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <utility>

#include "tools/linkcheck/lack.h"
#include "tools/linkcheck/progress.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace linkcheck {
namespace {

namespace fibers = weft::fibers;
using fibers::Nursery;

std::uint64_t peak_memory() {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<std::uint64_t>(usage.ru_maxrss) * 1024
                                               : 0;
}

// One check, from its servers to its statistics.
class Check {
 public:
  Check(const CheckPlan& plan, CheckResult& result)
      : plan_(plan), result_(result), crawler_(result.ledger, plan.crawl) {}

  // In a run: servers, loop and crawl, one inside the other, each closed before the one around it.
  void run();

 private:
  void serve_and_crawl();
  void start_servers(Nursery& servers);
  void add_targets();
  void crawl();
  void crawl_with_progress();
  void take_statistics();

  const CheckPlan& plan_;
  CheckResult& result_;
  Crawler crawler_;
};

void Check::run() {
  const std::size_t before = fibers::current_statistics().tasks_living;
  weft::open_loop([this](weft::EventLoop&) { serve_and_crawl(); });
  take_statistics();
  result_.stats.tasks_left = fibers::current_statistics().tasks_living - before;
}

// What is lacking may come from the servers and from the crawl: out of one nursery or two.
void Check::serve_and_crawl() {
  try {
    fibers::open_nursery([this](Nursery& servers) {
      start_servers(servers);
      add_targets();
      crawl();
      servers.cancel_scope().cancel("the check is over");
    });
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (...) {
    std::optional<std::string> words = lack_in(std::current_exception());
    if (!words) throw;
    crawler_.forget_failures_of_served();
    result_.ending = Ending::kLack;
    result_.lack = *std::move(words);
  }
}

void Check::start_servers(Nursery& servers) {
  for (const Served& served : plan_.served) {
    const auto port = servers.start<std::uint16_t>(
        [&](fibers::TaskStatus<std::uint16_t>& status) {
          serve_site(*served.site, plan_.server, status);
        },
        {.name = served.label});
    const std::string origin = "http://127.0.0.1:" + std::to_string(port);
    result_.sites.push_back({origin, served.label});
    crawler_.add_start(parse_url(origin + served.start), true);
  }
}

void Check::add_targets() {
  for (const std::string& url : plan_.urls) crawler_.add_start(parse_url(url), false);
}

// Ctrl-C comes out of the main task's wait, which is in here; alone, or in the group of a nursery.
void Check::crawl() {
  fibers::catch_(
      [this] {
        const fibers::Duration length = plan_.deadline.value_or(fibers::Duration::max());
        if (!fibers::move_on_after(length, [this] { crawl_with_progress(); })) {
          result_.ending = Ending::kDeadline;
        }
      },
      fibers::on<fibers::KeyboardInterrupt>(
          [this](const std::exception_ptr&) { result_.ending = Ending::kInterrupted; }));
}

void Check::crawl_with_progress() {
  fibers::open_nursery([this](Nursery& beside) {
    if (plan_.progress) {
      beside.start_soon([this] { show_progress(crawler_.progress()); }, {.name = "progress"});
    }
    crawler_.run();
    beside.cancel_scope().cancel("everything has been checked");
  });
}

void Check::take_statistics() {
  RunStats& stats = result_.stats;
  stats.requests = crawler_.progress().requests;
  stats.bytes_received = crawler_.progress().bytes;
  stats.tasks_spawned = crawler_.progress().tasks;
  stats.tasks_at_most = fibers::current_statistics().tasks_peak;
}

}  // namespace

std::uint64_t open_descriptors() {
  DIR* const stream = ::opendir("/proc/self/fd");
  if (stream == nullptr && is_lack(errno)) throw_lack(errno);
  if (stream == nullptr) return 0;  // without /proc
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(stream)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(stream);
  return count - 1;  // the stream's own
}

CheckResult run_check(const CheckPlan& plan) {
  CheckResult result;
  const std::uint64_t descriptors = open_descriptors();
  const std::size_t stacks = fibers::stack_statistics().in_use;
  const auto start = std::chrono::steady_clock::now();
  fibers::run([&] { Check(plan, result).run(); });
  result.stats.wall = std::chrono::steady_clock::now() - start;
  result.stats.peak_memory = peak_memory();
  result.stats.descriptors_left = open_descriptors() - descriptors;
  result.stats.stacks_left = fibers::stack_statistics().in_use - stacks;
  return result;
}

}  // namespace linkcheck
