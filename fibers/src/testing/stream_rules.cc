// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/stream_rules.h"

#include <chrono>
#include <exception>
#include <vector>

#include "weft/fibers/async_resource.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing::detail {

namespace {

constexpr Duration kPatience = std::chrono::seconds(30);
// Together more than the buffers of any network hold.
constexpr int kSendsUntilBroken = 10'000;
constexpr std::size_t kSendSize = 4096;

// What is in `error`, without the groups that nurseries wrap around it.
void collect_reports(const std::exception_ptr& error, std::vector<std::string>& reports) {
  try {
    std::rethrow_exception(error);
  } catch (const AssertionError& found) {
    reports.emplace_back(found.what());
  } catch (const BaseExceptionGroup& group) {
    for (const std::exception_ptr& inner : group.exceptions()) collect_reports(inner, reports);
  } catch (...) {
    reports.push_back("threw " + describe_exception(error));
  }
}

std::string report(const std::exception_ptr& error) {
  std::vector<std::string> reports;
  collect_reports(error, reports);
  std::string all;
  for (const std::string& one : reports) all += (all.empty() ? "" : "; ") + one;
  return all;
}

// Where the clock jumps to the next deadline as soon as everybody waits, a deadline says nothing;
// there a run in which nothing can happen any more says so itself.
void run_patiently(const std::function<void()>& body) {
  if (current_clock().autojump_threshold() != Duration::max()) return body();
  if (!move_on_after(kPatience, body)) broken("nothing went on for 30 seconds");
}

std::string quoted(std::string_view data) {
  constexpr std::size_t kShown = 40;
  std::string text(data.substr(0, kShown));
  return '"' + text + (data.size() > kShown ? "...\"" : "\"");
}

}  // namespace

void broken(const std::string& what) {
  throw AssertionError(what);
}

void run_rule(const std::string& kit, const char* name, const std::function<void()>& body) {
  std::exception_ptr error;
  try {
    run_patiently(body);
    return;
  } catch (const KeyboardInterrupt&) {
    throw;
  } catch (...) {
    error = std::current_exception();
  }
  // If somebody outside wants to see the end of this, all that went wrong means nothing.
  checkpoint_if_cancelled();
  throw AssertionError(kit + ": the rule \"" + name + "\" is broken: " + report(error));
}

void closing(AsyncResource& first, AsyncResource& second, const std::function<void()>& body) {
  try {
    body();
  } catch (...) {
    for (AsyncResource* resource : {&first, &second}) {
      try {
        aclose_forcefully(*resource);
      } catch (...) {
        // What is wrong has been found already.
      }
    }
    throw;
  }
  aclose_forcefully(first);
  aclose_forcefully(second);
}

void send(SendStream& s, std::string_view data) {
  as_checkpoint("send_all()", [&] { s.send_all(data); });
}
void wait_to_send(SendStream& s) {
  as_checkpoint("wait_send_all_might_not_block()", [&] { s.wait_send_all_might_not_block(); });
}
void send_eof(HalfCloseableStream& s) {
  as_checkpoint("send_eof()", [&] { s.send_eof(); });
}
void close(AsyncResource& resource) {
  as_checkpoint("aclose()", [&] { resource.aclose(); });
}

void receive(ReceiveStream& r, std::size_t max, std::string_view expected) {
  const std::string got = as_checkpoint("receive_some()", [&] { return r.receive_some(max); });
  if (got.size() > max) {
    broken("receive_some() gave " + std::to_string(got.size()) + " bytes where " +
           std::to_string(max) + " were asked for");
  }
  if (got != expected) broken("received " + quoted(got) + " in place of " + quoted(expected));
}

void receive_end(ReceiveStream& r) {
  receive(r, 1, "");
}

void receive_all(ReceiveStream& r, std::string_view expected) {
  std::string got;
  while (got.size() < expected.size()) {
    const std::string some = r.receive_some(expected.size() - got.size());
    if (some.empty()) {
      broken("received the end of the stream after " + std::to_string(got.size()) + " of " +
             std::to_string(expected.size()) + " bytes");
    }
    got += some;
  }
  if (got == expected) return;
  std::size_t at = 0;
  while (got[at] == expected[at]) ++at;
  broken("byte " + std::to_string(at) + " of " + std::to_string(expected.size()) +
         " is not the one that was sent");
}

void send_until_broken(SendStream& s) {
  const std::string data(kSendSize, 'x');
  for (int i = 0; i < kSendsUntilBroken; ++i) {
    try {
      s.send_all(data);
    } catch (const BrokenResourceError&) {
      return;
    }
  }
  broken("send_all() went on and on without anybody to receive");
}

void together(const std::function<void()>& first, const std::function<void()>& second) {
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { first(); });
    nursery.start_soon([&] { second(); });
  });
}

void expect_closed(const std::string& call, const std::function<void()>& fn) {
  expect<ClosedResourceError>("ClosedResourceError", call, fn);
}
void expect_broken(const std::string& call, const std::function<void()>& fn) {
  expect<BrokenResourceError>("BrokenResourceError", call, fn);
}

void expect_busy(const std::string& calls, const std::function<void()>& first,
                 const std::function<void()>& second) {
  bool busy = false;
  std::string other;
  const auto try_it = [&](Nursery& nursery, const std::function<void()>& fn) {
    try {
      fn();
      other = "one returned";
    } catch (const BusyResourceError&) {
      busy = true;
    } catch (const std::exception&) {
      other = "one threw " + describe_exception(std::current_exception());
    }
    nursery.cancel_scope().cancel();
  };
  // One after the other, so that every order of the tasks finds the same.
  open_nursery([&](Nursery& nursery) {
    for (const auto* fn : {&first, &second}) {
      nursery.start_soon([&, fn] { try_it(nursery, *fn); });
      wait_all_tasks_blocked();
    }
    if (!busy && other.empty()) other = "both wait";
    nursery.cancel_scope().cancel();
  });
  if (!busy) broken(calls + " at once: " + other + " in place of throwing BusyResourceError");
}

void expect_woken(const std::string& call, const std::function<void()>& fn,
                  const std::function<void()>& wake) {
  bool woken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      expect_closed(call, fn);
      woken = true;
    });
    wait_all_tasks_blocked();
    wake();
    wait_all_tasks_blocked();
    if (!woken) broken(call + " still waits after the stream was closed");
  });
}

}  // namespace weft::fibers::testing::detail
