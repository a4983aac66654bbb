// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/units.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

// The leading number of `text`, which is cut off; nothing when there is none or it is not finite.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<double> seconds_of_unit(std::string_view unit) {
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "s") return 1.0;
  if (unit == "m" || unit == "min") return 60.0;
  if (unit == "h") return 3600.0;
  return std::nullopt;
}

std::string format_number(const char* format, double value, const char* unit) {
  char buffer[64];
  // The formats are the literals below; a compiler cannot see that through the parameter.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  std::snprintf(buffer, sizeof buffer, format, value);
#pragma GCC diagnostic pop
  return std::string(buffer) + unit;
}

}  // namespace

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  if (!number || *number < 0) return std::nullopt;
  std::optional<double> unit = seconds_of_unit(rest);
  if (!unit && rest.empty() && *number == 0) unit = 1.0;
  if (!unit) return std::nullopt;
  const double seconds = *number * *unit;
  if (seconds > 1000.0 * 3600.0) return std::nullopt;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::llround(seconds * 1e9)));
}

std::optional<double> parse_percent(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  if (!number || *number < 0 || *number > 100) return std::nullopt;
  if (!rest.empty() && rest != "%") return std::nullopt;
  return *number / 100.0;
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 1e-3) return format_number("%.0f", seconds * 1e6, " us");
  if (seconds < 0.01) return format_number("%.1f", seconds * 1e3, " ms");
  if (seconds < 1) return format_number("%.0f", seconds * 1e3, " ms");
  if (seconds < 10) return format_number("%.2f", seconds, " s");
  if (seconds < 120) return format_number("%.1f", seconds, " s");
  const double minutes = std::floor(seconds / 60);
  return format_number("%.0f", minutes, " min ") +
         format_number("%.0f", seconds - minutes * 60, " s");
}

std::string format_bytes(std::uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes < 1024) return format_number("%.0f", value, " B");
  if (value < 1024.0 * 1024) return format_number("%.1f", value / 1024, " KiB");
  if (value < 1024.0 * 1024 * 1024) return format_number("%.1f", value / 1024 / 1024, " MiB");
  return format_number("%.1f", value / 1024 / 1024 / 1024, " GiB");
}

std::string format_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return format_count(count) + " " + std::string(count == 1 ? one : many);
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    const auto byte = static_cast<unsigned char>(text.front());
    // U+0080 to U+009F are control characters too, two bytes long in UTF-8.
    const bool c1 = length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length == 0 || byte < 0x20 || byte == 0x7F || c1) {
      for (std::size_t at = 0; at < (c1 ? 2U : 1U); ++at) append_percent(result, text[at]);
      text.remove_prefix(c1 ? 2 : 1);
    } else {
      result.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return result;
}

}  // namespace linkcheck
