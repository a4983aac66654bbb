// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Several ways to one end, of which the quickest counts.
//
//   auto won = race([&] { return ask(primary); }, [&] { sleep(2s); return cached(); });
//   if (won.index() == 1) ...                       // The second. std::get<1>(won) is its value.
//
//   RaceResult<Stream> stream = first_success(attempts);       // a std::vector of functions
//
// race: the first to finish decides, by its value or by its error. first_success: the first that
// returns; who fails is only out of it. (Asked for in Trio's tracker; asyncio has it as wait() with
// FIRST_COMPLETED, without the cancelling.)

#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/detail/keep_error.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/unwrapped.h"

namespace weft::fibers {

// Who has won among equals, by position, and with what.
template <class T>
struct RaceResult {
  std::size_t index;
  T value;
};

namespace detail {

// The state of a race, in the frame of who holds it.
template <class Result>
struct Race {
  std::optional<Result> won;
  std::vector<std::exception_ptr> failures;

  // Of several that finish in the same turn the first counts.
  template <class MakeResult>
  void finish(Nursery& nursery, MakeResult&& make) {
    if (won) return;
    won.emplace(make());
    nursery.cancel_scope().cancel("the race has been won");
  }
  template <class F>
  void attempt(F&& body) {
    try {
      body();
    } catch (...) {
      std::exception_ptr& error = failures.emplace_back();
      try {
        keep_current_error(error);
      } catch (...) {
        if (error == nullptr) failures.pop_back();
        throw;
      }
      // A loser that made another error of its Cancelled has not swallowed that.
      if (won) checkpoint_if_cancelled();
    }
  }
  Result result() {
    if (won) return std::move(*won);
    if (failures.size() == 1) std::rethrow_exception(failures.front());
    std::rethrow_exception(make_exception_group("all have failed", std::move(failures)));
  }
};

template <bool kFirstSuccess, class Result, class F, class MakeResult>
void enter_race(Race<Result>& race, Nursery& nursery, F& fn, MakeResult make) {
  nursery.start_soon(
      [&race, &nursery, &fn, make] {
        const auto run = [&] {
          auto value = value_of_call(fn);
          race.finish(nursery, [&] { return make(std::move(value)); });
        };
        if constexpr (kFirstSuccess) {
          race.attempt(run);
        } else {
          run();
        }
      },
      {.name = kFirstSuccess ? "first_success" : "race"});
}

template <bool kFirstSuccess, std::size_t... I, class... F>
auto hold_race(std::index_sequence<I...>, F&... fns) {
  using Result = std::variant<ValueOf<F>...>;
  Race<Result> race;
  open_unwrapped_nursery([&](Nursery& nursery) {
    (enter_race<kFirstSuccess>(race, nursery, fns,
                               [](auto&& value) {
                                 return Result(std::in_place_index<I>,
                                               std::forward<decltype(value)>(value));
                               }),
     ...);
  });
  return race.result();
}

template <bool kFirstSuccess, class F>
RaceResult<ValueOf<F>> hold_race(std::vector<F>& fns) {
  if (fns.empty()) throw UsageError("a race needs at least one function: nobody could win it");
  using Result = RaceResult<ValueOf<F>>;
  Race<Result> race;
  open_unwrapped_nursery([&](Nursery& nursery) {
    for (std::size_t i = 0; i < fns.size(); ++i) {
      enter_race<kFirstSuccess>(race, nursery, fns[i], [i](auto&& value) {
        return Result{i, std::forward<decltype(value)>(value)};
      });
    }
  });
  return race.result();
}

}  // namespace detail

// Calls each of `fns` in a task of its own. What the first to finish returns is the result; the
// others are cancelled, and what they return then is dropped. An error of anybody cancels all and
// comes out as it was thrown, also one that a loser throws on being cancelled; several come out as
// one ExceptionGroup.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the calls and waits for them.
// Threads: the run's own only.
template <std::invocable... F>
auto race(F&&... fns) -> std::variant<detail::ValueOf<std::remove_reference_t<F>>...> {
  static_assert(sizeof...(F) > 0, "a race needs at least one function: nobody could win it");
  return detail::hold_race<false>(std::index_sequence_for<F...>(), fns...);
}
// For as many as there are. Throws UsageError for none.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the calls and waits for them.
// Threads: the run's own only.
template <std::invocable F>
RaceResult<detail::ValueOf<F>> race(std::vector<F> fns) {
  return detail::hold_race<false>(fns);
}
template <class... F>
requires(!(std::invocable<F> && ...)) auto race(F&&...) {
  static_assert(detail::kMisused<F...>, WEFT_TAKES_NO_ARGUMENTS);
}

// The same, but who throws is only out of the race. If all do, their errors come out: a lone one as
// it was thrown, several as one ExceptionGroup, in the order in which they came. If one succeeds,
// the errors of the others are dropped.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the calls and waits for them.
// Threads: the run's own only.
template <std::invocable... F>
auto first_success(F&&... fns) -> std::variant<detail::ValueOf<std::remove_reference_t<F>>...> {
  static_assert(sizeof...(F) > 0, "a race needs at least one function: nobody could win it");
  return detail::hold_race<true>(std::index_sequence_for<F...>(), fns...);
}
template <std::invocable F>
RaceResult<detail::ValueOf<F>> first_success(std::vector<F> fns) {
  return detail::hold_race<true>(fns);
}
template <class... F>
requires(!(std::invocable<F> && ...)) auto first_success(F&&...) {
  static_assert(detail::kMisused<F...>, WEFT_TAKES_NO_ARGUMENTS);
}

}  // namespace weft::fibers
