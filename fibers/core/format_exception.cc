// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/format_exception.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "fibers/core/type_name.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/throw_backtrace.h"

namespace weft::fibers {

namespace {

constexpr std::string_view kCause =
    "\nThe above exception was the direct cause of the following exception:\n\n";

std::exception_ptr cause_of(const std::exception_ptr& error) {
  const auto* nested = exception_cast<std::nested_exception>(error);
  return nested != nullptr ? nested->nested_ptr() : nullptr;
}

// Writes the tree from a list of what is still to be written, the next one last.
class Formatter {
 public:
  explicit Formatter(const FormatOptions& options) : options_(options) {}

  std::string format(const std::exception_ptr& error) {
    todo_.push_back({Item::kError, error, 0});
    while (!todo_.empty()) {
      const Item item = std::move(todo_.back());
      todo_.pop_back();
      write(item);
    }
    return std::move(text_);
  }

 private:
  struct Item {
    enum Kind { kError, kChain, kAlone, kTitle, kCounted, kEnd } kind;
    std::exception_ptr error;
    std::size_t depth;
    std::size_t number = 0;  // Of a title; how many are only counted.
    bool last = false;       // Of a title.
  };

  void write(const Item& item) {
    switch (item.kind) {
      case Item::kError:
        return push_chain(item);
      case Item::kChain:
        return emit(kCause, item.depth);
      case Item::kAlone:
        return write_alone(item);
      case Item::kTitle:
        return write_title(item);
      case Item::kCounted:
        return emit("and " + std::to_string(item.number) + " more exception" +
                        (item.number == 1 ? "" : "s"),
                    item.depth);
      case Item::kEnd:
        if (open_) text_ += indent(item.depth) + "+------------------------------------\n";
        open_ = false;
    }
  }

  // The innermost cause comes first.
  void push_chain(const Item& item) {
    std::exception_ptr error = item.error;
    while (error != nullptr) {
      todo_.push_back({Item::kAlone, error, item.depth});
      error = options_.chain ? cause_of(error) : nullptr;
      if (error != nullptr) todo_.push_back({Item::kChain, nullptr, item.depth});
    }
  }

  void write_alone(const Item& item) {
    const auto* group = exception_cast<BaseExceptionGroup>(item.error);
    if (group == nullptr) {
      write_backtrace(item.error, "Traceback", item.depth, "|");
      return emit(format_exception_only(item.error), item.depth);
    }
    if (item.depth > options_.max_group_depth) {
      return emit("... (max_group_depth is " + std::to_string(options_.max_group_depth) + ")",
                  item.depth);
    }
    const std::size_t depth = std::max<std::size_t>(item.depth, 1);
    write_backtrace(item.error, "Exception Group Traceback", depth, item.depth == 0 ? "+" : "|");
    emit(format_exception_only(item.error), depth);
    push_members(*group, depth);
  }

  void push_members(const BaseExceptionGroup& group, std::size_t depth) {
    open_ = false;
    const auto& errors = group.exceptions();
    const std::size_t shown = std::min(errors.size(), options_.max_group_width);
    todo_.push_back({Item::kEnd, nullptr, depth + 1});
    const std::size_t counted = errors.size() - shown;
    if (counted > 0) {
      todo_.push_back({Item::kCounted, nullptr, depth + 1, counted});
      todo_.push_back({Item::kTitle, nullptr, depth, shown + 1, true});
    }
    for (std::size_t i = shown; i-- > 0;) {
      todo_.push_back({Item::kError, errors[i], depth + 1});
      todo_.push_back({Item::kTitle, errors[i], depth, i + 1, counted == 0 && i + 1 == shown});
    }
  }

  // An inner group that comes last ends the outer one's frame as well.
  void write_title(const Item& item) {
    const std::string name = item.error != nullptr ? std::to_string(item.number) : "...";
    text_ += indent(item.depth) + (item.number == 1 ? "+-" : "  ") + "+---------------- " + name +
             " ----------------\n";
    if (item.last) open_ = true;
  }

  void write_backtrace(const std::exception_ptr& error, std::string_view title, std::size_t depth,
                       std::string_view margin) {
    if (!options_.backtraces) return;
    const std::vector<std::string> lines = detail::throw_lines(error);
    if (lines.empty()) return;
    emit(std::string(title) + " (most recent call last):", depth, margin);
    for (const std::string& line : lines) emit("  in " + line, depth);
  }

  void emit(std::string_view lines, std::size_t depth, std::string_view margin = "|") {
    if (lines.ends_with('\n')) lines.remove_suffix(1);
    for (;;) {
      const std::size_t end = std::min(lines.find('\n'), lines.size());
      const std::string_view line = lines.substr(0, end);
      text_ += indent(depth);
      if (depth > 0) text_ += margin;
      if (depth > 0 && !line.empty()) text_ += ' ';
      text_ += line;
      text_ += '\n';
      if (end == lines.size()) return;
      lines.remove_prefix(end + 1);
    }
  }

  // Deeper nests are not indented further, or the text would grow with the square of the depth.
  static std::string indent(std::size_t depth) {
    constexpr std::size_t kDeepest = 32;
    return std::string(2 * std::min(depth, kDeepest), ' ');
  }

  const FormatOptions& options_;
  std::vector<Item> todo_;
  std::string text_;
  bool open_ = false;  // The last member of a group has begun, and its frame has no end yet.
};

std::string quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + "'";
}

std::string repr_of_leaf(const std::exception_ptr& error) {
  const std::string line = describe_exception(error);
  const auto* e = exception_cast<std::exception>(error);
  if (e != nullptr) return detail::type_name(typeid(*e)) + "(" + quoted(e->what()) + ")";
  const std::size_t colon = line.find(": ");
  if (colon == std::string::npos) return line + "()";
  return line.substr(0, colon) + "(" + quoted(std::string_view(line).substr(colon + 2)) + ")";
}

}  // namespace

std::string format_exception(const std::exception_ptr& error, const FormatOptions& options) {
  return Formatter(options).format(error);
}

std::string format_exception_only(const std::exception_ptr& error) {
  std::string text = describe_exception(error) + "\n";
  if (const auto* group = exception_cast<BaseExceptionGroup>(error)) {
    for (const std::string& note : group->notes()) text += note + "\n";
  }
  return text;
}

void print_exception(const std::exception_ptr& error, const FormatOptions& options) {
  std::fputs(format_exception(error, options).c_str(), stderr);
}

void print_exc(const FormatOptions& options) {
  print_exception(std::current_exception(), options);
}

// Without recursion: what is still to be written, the next one last. Null stands for a bracket.
std::string repr(const std::exception_ptr& error) {
  std::string text;
  std::vector<std::exception_ptr> todo{error};
  if (error == nullptr) return "no exception";
  while (!todo.empty()) {
    const std::exception_ptr e = std::move(todo.back());
    todo.pop_back();
    if (e == nullptr) {
      text += "])";
      continue;
    }
    if (!text.empty() && !text.ends_with('[')) text += ", ";
    if (const auto* group = exception_cast<BaseExceptionGroup>(e)) {
      text += detail::type_name(typeid(*group)) + "(" + quoted(group->message()) + ", [";
      todo.emplace_back();
      todo.insert(todo.end(), group->exceptions().rbegin(), group->exceptions().rend());
    } else {
      text += repr_of_leaf(e);
    }
  }
  return text;
}

}  // namespace weft::fibers
