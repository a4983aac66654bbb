// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Stopping in two steps: first everybody is asked to come to an end, and who has not done so after
// a grace period is cancelled.
//
//   GracefulScope scope;
//   nursery.start_soon([&] { wait_for_signal(SIGTERM); scope.stop(30s); });
//   scope.run([&] { serve(); });
//
//   void serve() {
//     for (;;) {
//       auto request = until_stopping([&] { return next_request(); });
//       if (!request.finished()) return;            // asked to stop, while it was idle
//       answer(request.value());                    // may take the grace period
//     }
//   }
//
// Trio has no such thing; users ask for it (soft cancellation). Here the asking is no exception:
// what is in the middle of something goes on until it looks. It goes where a TreeVar goes: to
// everything that runs inside, down to the tasks of nurseries opened there.

#pragma once

#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/event.h"
#include "weft/fibers/tree_var.h"

namespace weft::fibers {

namespace detail {

struct StopState;

// A node in the tree of those who want to hear: a GracefulScope, or an until_stopping.
struct StopState {
  explicit StopState(CancelScope* cancels) : cancel_at_once(cancels) { join(); }
  StopState(const StopState&) = delete;
  StopState& operator=(const StopState&) = delete;
  ~StopState();

  // Below the node of the running task, whose wish it shares.
  void join();
  // Asks this one and all below.
  void ask();

  CancelScope* cancel_at_once;  // Null: a GracefulScope, which waits for the grace period.
  // The tree, linked through its nodes: each idle connection of a server may have one.
  StopState* parent = nullptr;
  StopState* first_child = nullptr;
  StopState* next = nullptr;
  StopState** before = nullptr;  // Who points here: the parent, or the one before.
  bool asked = false;
  Event event;
};

TreeVar<StopState*>& current_stop_state();

}  // namespace detail

// A resource, good for one run(). Everything but stop() is as in a CancelScope.
class GracefulScope {
 public:
  explicit GracefulScope(const CancelScopeOptions& options = {}) : scope_(options) {}
  GracefulScope(const GracefulScope&) = delete;
  GracefulScope& operator=(const GracefulScope&) = delete;

  // Runs `body` inside; see CancelScope::run.
  //
  // Blocks: only if the body does.
  // Cancel: this is where cancellation ends.
  // Threads: the run's own only.
  template <class F>
  auto run(F&& body) -> ScopeResult<std::invoke_result_t<F>> {
    return scope_.run([&]() -> std::invoke_result_t<F> {
      detail::StopState state(nullptr);
      const Entered entered(*this, state);
      return detail::current_stop_state().being(&state, std::forward<F>(body));
    });
  }

  // Asks everything inside to come to an end, also what is started there later, and lets it be
  // cancelled when `grace` has passed. A deadline that is set already and comes first stays, and so
  // does that of an earlier stop(). May be called before run(); the grace counts from the call.
  // Throws UsageError for a negative grace.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only; elsewhere use Token::run_sync_soon.
  void stop(Duration grace);
  // Cancels at once.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only; elsewhere use Token::run_sync_soon.
  void cancel(std::string_view reason = {}) { scope_.cancel(reason); }

  bool stop_called() const { return stop_called_; }
  bool cancel_called() { return scope_.cancel_called(); }
  bool cancelled_caught() const { return scope_.cancelled_caught(); }

 private:
  // While the body runs.
  class Entered {
   public:
    Entered(GracefulScope& scope, detail::StopState& state) : scope_(scope) {
      scope.state_ = &state;
      if (scope.stop_called_) scope.ask();
    }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;
    ~Entered() { scope_.state_ = nullptr; }

   private:
    GracefulScope& scope_;
  };
  void ask();

  CancelScope scope_;
  detail::StopState* state_ = nullptr;  // Null outside run().
  Instant hard_at_ = kForever;
  bool stop_called_ = false;
};

// Whether a GracefulScope around the caller has been asked to stop: any one, also across shields.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
bool is_stopping();

// Waits until that is so; for ever if there is no GracefulScope.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
void wait_stopping();

// Runs `body` and cancels it as soon as that is so: for waits with nothing in hand, such as the one
// for the next request. Returns what CancelScope::run does.
//
// Blocks: only if the body does.
// Cancel: the body gets Cancelled at its waits from then on.
// Threads: the run's own only.
template <class F>
auto until_stopping(F&& body) -> ScopeResult<std::invoke_result_t<F>> {
  CancelScope scope;
  const detail::StopState listener(&scope);
  return scope.run(std::forward<F>(body));
}

}  // namespace weft::fibers
