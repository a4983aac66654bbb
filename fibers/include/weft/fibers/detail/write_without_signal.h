// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Writing to a pipe that perhaps nobody reads. Not for use outside weft: see FdStream.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// write(), but a pipe without a reader is the error EPIPE alone, and no SIGPIPE.
std::ptrdiff_t write_without_signal(int fd, std::span<const std::byte> data);
// sendfile() of what stands at `offset`, in the same way. The file's position stays.
std::ptrdiff_t sendfile_without_signal(int socket, int file, std::int64_t offset, std::size_t size);

}  // namespace weft::fibers::detail
