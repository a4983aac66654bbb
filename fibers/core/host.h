// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a run knows of the host that drives it, if it is a guest: see guest.cc.

#pragma once

namespace weft::fibers::detail {

struct Host {
  // There is one. It may act at any time, so nothing is ever a deadlock.
  bool exists = false;
  // It has the thread, and no tick is on its way: what it does to the run has to bring one.
  bool at_leisure = false;
};

}  // namespace weft::fibers::detail
