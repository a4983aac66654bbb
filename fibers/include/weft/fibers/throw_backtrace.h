// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where an exception was thrown: the stack as it was before anything was unwound.
//
// A C++ exception does not know that. Programs that want it link weft::throw_backtraces, which
// stands before the C++ runtime's throw, and switch it on; it costs some microseconds a throw then.
// Linked and off it costs a load a throw, not linked nothing. (tools/docs/adr has the reasons.)

#pragma once

#include <exception>
#include <string>
#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

// The return addresses at the throw, innermost first, for describe_frame(). Empty if `error` was
// not recorded: thrown while that was off, or made by std::make_exception_ptr without a throw.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
std::vector<const void*> throw_backtrace(const std::exception_ptr& error);

// Switches the recording on or off, for all threads; returns whether it was on. Part of
// weft::throw_backtraces, which needs the C++ runtime as a shared library.
bool record_throw_backtraces(bool on);

namespace detail {
// How the recorder is asked, once it has been switched on. `thrown` is the exception object.
using ThrowFrames = std::vector<const void*> (*)(const void* thrown);
using DescribeFrame = std::vector<std::string> (*)(const void* address);
void set_throw_frames(ThrowFrames ask, DescribeFrame describe);
// The lines of a backtrace of the throw, the most recent call last.
std::vector<std::string> throw_lines(const std::exception_ptr& error);
// Where the exception object lies: the same for all that hold it, and never for two at a time.
const void* exception_address(const std::exception_ptr& error);
}  // namespace detail

}  // namespace weft::fibers
