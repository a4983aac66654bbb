// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A loop's future that ends as a ConcurrentFuture does. Not for use outside weft.

#pragma once

#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/concurrent_future.h"
#include "weft/loop/detail/machine_box.h"
#include "weft/loop/future.h"

namespace weft::loop::detail {

// Belongs to the loop's thread. Holds the source, and is held by the call that will end it.
class WrappedCore {
 public:
  WrappedCore(const WrappedCore&) = delete;
  WrappedCore& operator=(const WrappedCore&) = delete;

  // Once: from now on the end of the source ends the future. `is_job`: the source is work in
  // another thread, for which clocks that jump wait, and nobody else has it.
  void begin(bool is_job, std::source_location site);
  // The future's cancel(): also of the source, unless that runs.
  bool request_cancel(std::exception_ptr payload);

 protected:
  // Takes over one reference of the source.
  WrappedCore(FutureCore& future, ConcurrentFutureCore& source) noexcept
      : future_(future), source_(source) {}
  virtual ~WrappedCore() { source_.release(); }
  virtual void take_value() = 0;
  // Whether somebody else may ask the source.
  bool is_shared() const { return !is_job_ && source_.is_shared(); }

 private:
  class End;
  // The source is done.
  void settle();
  void let_go() noexcept;

  FutureCore& future_;
  ConcurrentFutureCore& source_;
  bool is_job_ = false;
  bool counted_ = false;
};

template <class T>
class Wrapped : public WrappedCore {
 public:
  // Takes over one reference of the source.
  Wrapped(FutureBox<T>& box, ConcurrentBox<T>& source) noexcept
      : WrappedCore(box, source), box_(box), source_(source) {}

 protected:
  ~Wrapped() override = default;

 private:
  void take_value() override {
    if constexpr (std::is_void_v<T>) {
      box_.set_value();
    } else if constexpr (std::is_copy_constructible_v<T>) {
      if (is_shared()) return box_.set_value(std::as_const(*source_.value));
      box_.set_value(std::move(*source_.value));
    } else {
      box_.set_value(std::move(*source_.value));
    }
  }

  FutureBox<T>& box_;
  ConcurrentBox<T>& source_;
};

// Takes over one reference of the source.
template <class T>
Future<T> wrap_source(LoopCore& core, ConcurrentBox<T>* source, bool is_job,
                      std::source_location site) {
  ConcurrentFuture<T> kept = ConcurrentFutureAccess::wrap(source);
  auto* const made = make_machine_box<T, Wrapped<T>>(core, site, *source);
  source->retain();
  Future<T> future = FutureAccess::wrap<T>(made);
  made->begin(is_job, site);
  return future;
}

}  // namespace weft::loop::detail
