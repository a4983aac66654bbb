// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace linkcheck {

// "20ms", "2s", "1.5s", "1m", "1h"; "0" needs no unit. Nothing when the text is anything else,
// negative or over 1000 h.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// "1%", "0.5%", "12" (percent as well): 0 to 100, as a share of one.
std::optional<double> parse_percent(std::string_view text);

// Two significant places and a unit: "20 ms", "1.3 s", "2 min 5 s".
std::string format_duration(std::chrono::nanoseconds duration);

// "812 B", "3.4 KiB", "58 MiB".
std::string format_bytes(std::uint64_t bytes);

// "7,619".
std::string format_count(std::uint64_t count);

// `count` and the word for it: "1 page", "7,619 pages".
std::string counted(std::uint64_t count, std::string_view one, std::string_view many);

// The text with control characters (and bytes that are not UTF-8's) as %XX, so that a page cannot
// drive a terminal.
std::string printable(std::string_view text);

}  // namespace linkcheck
