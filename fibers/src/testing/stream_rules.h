// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the rules of the conformance kits are made of.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/stream.h"
#include "weft/fibers/testing/check_streams.h"

namespace weft::fibers::testing::detail {

// What one rule sees: what is sent into the first comes out of the second.
struct Ends {
  SendStream& s;
  ReceiveStream& r;
};
struct Rule {
  const char* name;
  void (*check)(const Ends&);
};
std::span<const Rule> one_way_rules();
std::span<const Rule> clogged_rules();

// Ends the rule that is being checked: `what` has happened, and should not have.
[[noreturn, gnu::cold]] void broken(const std::string& what);

// Runs `body`, the check of rule `name`, and throws AssertionError about all that goes wrong in it.
void run_rule(const std::string& kit, const char* name, const std::function<void()>& body);

// Both are closed, whatever happens in `body`.
void closing(AsyncResource& first, AsyncResource& second, const std::function<void()>& body);

// Runs the rule `name` on streams that `maker` makes for it.
template <class First, class Second, class Body>
void run_rule_on(const StreamMaker<First, Second>& maker, const std::string& kit, const char* name,
                 Body&& body) {
  run_rule(kit, name, [&] {
    const auto made = maker();
    if (made.first == nullptr || made.second == nullptr) broken("the maker gave no streams");
    closing(*made.first, *made.second, [&] { body(*made.first, *made.second); });
  });
}

// Calls `fn`, which `call` names and which has to be a checkpoint.
template <class F>
auto as_checkpoint(const char* call, F&& fn) {
  const CheckpointCounts before = checkpoint_counts();
  const auto check = [&] {
    const CheckpointCounts after = checkpoint_counts();
    if (after.schedule_points == before.schedule_points) {
      broken(std::string(call) + " did not let other tasks run: it is not a checkpoint");
    }
    if (after.cancel_points == before.cancel_points) {
      broken(std::string(call) + " was not cancellable: it is not a checkpoint");
    }
  };
  if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
    fn();
    check();
  } else {
    auto result = fn();
    check();
    return result;
  }
}

void send(SendStream& s, std::string_view data);
void wait_to_send(SendStream& s);
void send_eof(HalfCloseableStream& s);
void close(AsyncResource& resource);
// Receives once, and gets `expected`; the end, if that is empty.
void receive(ReceiveStream& r, std::size_t max, std::string_view expected);
// Receives until it has as much as `expected`, which it has to be.
void receive_all(ReceiveStream& r, std::string_view expected);
void receive_end(ReceiveStream& r);
// Sends until the stream finds out that nobody receives any more.
void send_until_broken(SendStream& s);

// Each in a task of its own.
void together(const std::function<void()>& first, const std::function<void()>& second);
// `call` has to throw Error.
template <class Error>
void expect(const char* error, const std::string& call, const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error&) {
    return;
  } catch (const AssertionError&) {
    throw;
  } catch (const std::exception& other) {
    broken(call + " threw " + describe_exception(std::current_exception()) + " in place of " +
           error);
  }
  broken(call + " returned in place of throwing " + error);
}
void expect_closed(const std::string& call, const std::function<void()>& fn);
void expect_broken(const std::string& call, const std::function<void()>& fn);
// Of the two calls at once, which would both wait, one gets BusyResourceError.
void expect_busy(const std::string& calls, const std::function<void()>& first,
                 const std::function<void()>& second);
// The call, in a task, waits; `wake` ends that, with ClosedResourceError.
void expect_woken(const std::string& call, const std::function<void()>& fn,
                  const std::function<void()>& wake);

}  // namespace weft::fibers::testing::detail
