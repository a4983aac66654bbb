// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The values of a run's variables. (See weft/fibers/run_var.h.)

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace weft::fibers::detail {

// Few, so that looking through them all is the quickest.
class RunValues {
 public:
  // Null if there is none.
  std::shared_ptr<void> get(std::uint64_t var) const;
  // Returns the one before. Null takes the value away.
  std::shared_ptr<void> set(std::uint64_t var, std::shared_ptr<void> value);

 private:
  struct Value {
    std::uint64_t var;
    std::shared_ptr<void> value;
  };
  std::vector<Value> values_;
};

}  // namespace weft::fibers::detail
