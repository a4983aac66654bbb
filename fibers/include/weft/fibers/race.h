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
#include <tuple>
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

// The state of a race, in the frame of whoever holds it.
struct Race {
  std::optional<std::size_t> winner;
  std::vector<std::exception_ptr> failures;

  template <class F>
  void attempt(F&& body) {
    std::exception_ptr error;
    try {
      try {
        body();
        return;
      } catch (...) {
        keep_current_error(error);
      }
    } catch (...) {
      if (error != nullptr) failures.push_back(std::move(error));
      throw;
    }
    failures.push_back(std::move(error));
    // A loser that made another error of its Cancelled has not swallowed that.
    if (winner) checkpoint_if_cancelled();
  }
  // Throws unless somebody has won.
  void require_winner() {
    if (winner) return;
    if (failures.size() == 1) std::rethrow_exception(failures.front());
    std::rethrow_exception(make_exception_group("all have failed", std::move(failures)));
  }
};

// Each has a slot of its own for its value. Whoever fills it first has won: the value's constructor
// may wait, and others finish meanwhile.
template <bool kFirstSuccess, class F>
void enter_race(Race& race, Nursery& nursery, std::size_t index, F& fn,
                std::optional<ValueOf<F>>& slot) {
  nursery.start_soon(
      [&race, &nursery, index, &fn, &slot] {
        const auto run = [&] {
          slot.emplace(value_of_call(fn));
          if (race.winner) return slot.reset();
          race.winner = index;
          nursery.cancel_scope().cancel("the race has been won");
        };
        if constexpr (kFirstSuccess) {
          race.attempt(run);
        } else {
          run();
        }
      },
      {.name = kFirstSuccess ? "first_success" : "race"});
}

// The value of the winner, which is at `I` or behind.
template <class Result, std::size_t I = 0, class Slots>
Result value_of_winner(std::size_t winner, Slots& slots) {
  if constexpr (I + 1 < std::tuple_size_v<Slots>) {
    if (winner != I) return value_of_winner<Result, I + 1>(winner, slots);
  }
  return Result(std::in_place_index<I>, std::move(*std::get<I>(slots)));
}

template <bool kFirstSuccess, std::size_t... I, class... F>
auto hold_race(std::index_sequence<I...>, F&... fns) {
  std::tuple<std::optional<ValueOf<F>>...> slots;
  Race race;
  open_unwrapped_nursery([&](Nursery& nursery) {
    (enter_race<kFirstSuccess>(race, nursery, I, fns, std::get<I>(slots)), ...);
  });
  race.require_winner();
  return value_of_winner<std::variant<ValueOf<F>...>>(*race.winner, slots);
}

template <bool kFirstSuccess, class F>
RaceResult<ValueOf<F>> hold_race(std::vector<F>& fns) {
  if (fns.empty()) throw UsageError("a race needs at least one function: nobody could win it");
  std::vector<std::optional<ValueOf<F>>> slots(fns.size());
  Race race;
  open_unwrapped_nursery([&](Nursery& nursery) {
    for (std::size_t i = 0; i < fns.size(); ++i) {
      enter_race<kFirstSuccess>(race, nursery, i, fns[i], slots[i]);
    }
  });
  race.require_winner();
  return {*race.winner, std::move(*slots[*race.winner])};
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
