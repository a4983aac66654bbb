// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/support/parked_backtraces.h"

namespace weft::test {

bool parked_backtraces_work() {
#if defined(__x86_64__) && !defined(WEFT_FCONTEXT)
  return true;
#else
  return false;
#endif
}

}  // namespace weft::test
