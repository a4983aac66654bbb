// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a program's debug information says about an address of its code.

#pragma once

#include <string>
#include <vector>

namespace weft::fibers::detail {

struct CodePlace {
  std::string function;  // Empty: not known.
  std::string file;      // Its last part. Empty: not known.
  int line = 0;
  bool inlined = false;  // Into the place that follows.
};

// The function that the instruction at `address` is in, after those that are inlined into it there,
// the innermost first. Empty if the program has no debug information, or the machine no libdw.
//
// Blocks: the thread; reads files, on a thread of its own.
// Threads: any.
std::vector<CodePlace> places_of(const void* address);

}  // namespace weft::fibers::detail
