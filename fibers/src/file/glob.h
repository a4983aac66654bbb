// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Finding files by a pattern.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::fibers::detail {

// See Path::glob(). Sorted, each file once. Blocks the thread.
std::vector<std::filesystem::path> glob(const std::filesystem::path& base,
                                        const std::string& pattern);

// What is in a directory, sorted. Throws std::filesystem::filesystem_error.
std::vector<std::filesystem::path> list_directory(const std::filesystem::path& directory);

}  // namespace weft::fibers::detail
