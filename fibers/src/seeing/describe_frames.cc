// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Not in the kernel: who prints no backtrace has neither this nor the symboliser in the program.

#include <absl/debugging/symbolize.h>
#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "fibers/src/seeing/debug_info.h"
#include "weft/fibers/backtrace.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers {

namespace {

// A return address may lie behind the end of a function whose last act is the call.
const void* call_before(const void* address) {
  return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(address) - 1);
}

// The name in the table of symbols, or nothing.
std::string symbol_at(const void* inside) {
  std::array<char, 1024> text;
  return absl::Symbolize(inside, text.data(), static_cast<int>(text.size())) ? text.data() : "";
}

// "program+0x1234", which addr2line understands.
std::string offset_in_file(const void* inside) {
  Dl_info info{};
  std::array<char, 32> number;
  std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(inside);
  std::string file;
  if (::dladdr(inside, &info) != 0 && info.dli_fname != nullptr) {
    const std::string_view path(info.dli_fname);
    file = std::string(path.substr(path.rfind('/') + 1)) + "+";
    offset -= reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  }
  std::snprintf(number.data(), number.size(), "0x%zx", static_cast<std::size_t>(offset));
  return file + number.data();
}

// Layers of std::invoke() and of the kernel that have been inlined: each wait has four, each call
// of a task's function has three, and none of them tells anything.
bool is_noise(const detail::CodePlace& place) {
  const std::string& name = place.function;
  const bool invokes = name.starts_with("__invoke") || name.starts_with("invoke<") ||
                       name.find("std::__invoke") != name.npos ||
                       name.find("std::invoke<") != name.npos;
  return place.inlined && (invokes || name.starts_with("weft::fibers::detail::"));
}

std::string line_of(const detail::CodePlace& place, const std::string& offset) {
  std::string line = place.function.empty() ? "??" : place.function;
  if (!place.file.empty()) line += " at " + place.file + ":" + std::to_string(place.line);
  if (place.inlined) line += ", inlined";
  return line + " [" + offset + "]";
}

}  // namespace

std::string describe_address(const void* address) {
  std::string name = symbol_at(call_before(address));
  if (!name.empty()) return name;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%p", address);
  return text.data();
}

std::vector<std::string> describe_frame(const void* address) {
  const void* const inside = call_before(address);
  std::vector<detail::CodePlace> places = detail::places_of(inside);
  if (places.empty()) places.push_back({.function = {}, .file = {}});
  // The table of symbols has the whole name, which the debug information of local functions lacks.
  const std::string symbol = symbol_at(inside);
  const bool readable = !symbol.empty() && !symbol.starts_with("_Z");
  if (readable || places.back().function.empty()) places.back().function = symbol;
  const std::string offset = offset_in_file(inside);
  std::vector<std::string> lines;
  for (const detail::CodePlace& place : places) {
    if (!is_noise(place)) lines.push_back(line_of(place, offset));
  }
  return lines;
}

std::string dump_task_tree(const DumpOptions& options) {
  return detail::task_tree(options.backtraces ? &describe_frame : nullptr);
}

}  // namespace weft::fibers
