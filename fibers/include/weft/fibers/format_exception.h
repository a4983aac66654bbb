// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Exceptions as text, whole trees of them, in the layout that Python prints:
//
//     | ExceptionGroup: exceptions from a nursery (2 sub-exceptions)
//     | a note
//     +-+---------------- 1 ----------------
//       | std::runtime_error: no route
//       +---------------- 2 ----------------
//       | std::invalid_argument: no such host
//       +------------------------------------
//
// An exception with another nested in it (std::throw_with_nested) comes after that one. Where each
// was thrown is said as far as that is known: see throw_backtrace.h.
//
// (exceptiongroup: format_exception and its kin.)

#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <typeinfo>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

struct FormatOptions {
  // Of a larger group the others are only counted: "and 3 more exceptions".
  std::size_t max_group_width = 15;
  // Groups nested deeper are left out.
  std::size_t max_group_depth = 10;
  // Also what is nested in an exception as its cause.
  bool chain = true;
  // Also where it was thrown.
  bool backtraces = true;
};

// The whole tree; ends with a line feed. Takes no stack for deep nests.
std::string format_exception(const std::exception_ptr& error, const FormatOptions& options = {});

// Its type and text, and the notes of a group; not what is in it.
std::string format_exception_only(const std::exception_ptr& error);

// format_exception() to standard error.
void print_exception(const std::exception_ptr& error, const FormatOptions& options = {});
// Of the exception being handled.
void print_exc(const FormatOptions& options = {});

// On one line, as a program would write it: "ExceptionGroup('message', [std::range_error('x')])".
// (Python: repr.)
std::string repr(const std::exception_ptr& error);

namespace detail {
// As a program writes it; weft's own names without their namespace.
std::string type_name(const std::type_info& type);
}  // namespace detail

}  // namespace weft::fibers
