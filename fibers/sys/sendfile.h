// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of the seam (sys.h) that sends files.

#pragma once

#include <sys/sendfile.h>
#include <unistd.h>

#include "fibers/sys/call.h"

namespace weft::fibers::sys {

// NOLINTBEGIN(readability-identifier-naming): they stand for functions, and are named so.
inline constexpr Call<&::sendfile> sendfile{"sendfile"};
inline constexpr Call<&::pread> pread{"pread"};
inline constexpr Call<&::lseek> lseek{"lseek"};
// NOLINTEND(readability-identifier-naming)

}  // namespace weft::fibers::sys
