// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A guard for places where a task must not wait: inside a callback of a C library that serves
// others too. Suspended there, a task would wedge everybody else who uses the library.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

// While it lives, any wait of this task throws UsageError, naming `where` and the wait.
//
//   NoSuspend guard("curl write callback");
class NoSuspend {
 public:
  // `where` is kept as a pointer.
  explicit NoSuspend(const char* where);
  NoSuspend(const NoSuspend&) = delete;
  NoSuspend& operator=(const NoSuspend&) = delete;
  ~NoSuspend();

 private:
  const char* before_;
};

}  // namespace weft::fibers
