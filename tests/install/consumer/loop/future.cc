// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "loop/future.h"

namespace consumer {
int the_future() {
  return 41;
}
}  // namespace consumer
