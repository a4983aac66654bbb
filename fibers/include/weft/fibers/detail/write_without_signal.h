// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Writing to a pipe that perhaps nobody reads. Not for use outside weft: see FdStream.

#pragma once

#include <cstddef>
#include <span>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// write(), but a pipe without a reader is the error EPIPE alone, and no SIGPIPE.
std::ptrdiff_t write_without_signal(int fd, std::span<const std::byte> data);

}  // namespace weft::fibers::detail
