// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of weft::boost_fiber share.

#pragma once

#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <utility>

#include "weft/boost_fiber/boost_fiber.h"

namespace weft::boost_fiber {

namespace bf = boost::fibers;

// The thread of the tests has one algorithm, for good.
inline void install() {
  if (detail::Algorithm::of_this_thread() == nullptr) bf::use_scheduling_algorithm<Shared<>>();
}

template <class F>
void shared(F&& body) {
  install();
  share_thread(std::forward<F>(body));
}

// A fiber that has ended when this is destroyed. Whoever cancels a test has to see that it can.
class Joined {
 public:
  template <class F>
  explicit Joined(F fn) : fiber_(std::move(fn)) {}
  Joined(const Joined&) = delete;
  Joined& operator=(const Joined&) = delete;
  ~Joined() {
    if (fiber_.joinable()) fiber_.join();
  }

 private:
  bf::fiber fiber_;
};

}  // namespace weft::boost_fiber
