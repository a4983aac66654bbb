// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Which errors a system call may plausibly give.

#pragma once

#include <string>
#include <vector>

#include "fibers/sys/call.h"

namespace weft::fibers::testing {

struct Fault {
  int error = 0;       // What the call gives; 0: it takes only a part of the data.
  bool after = false;  // The call does its work all the same.
  friend bool operator==(const Fault&, const Fault&) = default;
};

// In the order of the table. What a descriptor is, and is not, is taken from itself.
std::vector<Fault> faults_of(const sys::Asked& asked);

// Whether whoever makes the call should not even notice.
bool is_invisible(const Fault& fault);

// "EINTR", "EAI_AGAIN", "short".
std::string name_of(const sys::Asked& asked, const Fault& fault);

}  // namespace weft::fibers::testing
