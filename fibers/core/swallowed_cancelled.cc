// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/swallowed_cancelled.h"

#include <utility>

#include "fibers/core/scheduler.h"
#include "fibers/core/text.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/log.h"

namespace weft::fibers {

namespace detail {

namespace {

// So many in a row are no cleaning up any more.
constexpr std::uint32_t kStubborn = 1000;

std::string swallower(const TaskBlock& task) {
  const std::source_location& site = task.site;
  return concat({"task '", task.name(), "' #", task.number, ", started at ", site.file_name(), ":",
                 site.line(), ","});
}

}  // namespace

void SwallowedCancelled::thrown_to(TaskBlock& task) {
  if (++task.unheeded == kStubborn) [[unlikely]]
    say_stubborn(task);
}

void SwallowedCancelled::say_stubborn(const TaskBlock& task) {
  const char* const what =
      " times and goes on: all its waits are cancelled at once, and the scope that is to end never "
      "does; catch (...) blocks have to rethrow what they do not know";
  say(concat({swallower(task), " swallowed a Cancelled ", kStubborn, what}));
}

void SwallowedCancelled::forget(TaskBlock& task) {
  task.unheeded = 0;
  suspect_.clear();
}

void SwallowedCancelled::ended_normally(const TaskBlock& task) {
  suspect_ = swallower(task);
}

void SwallowedCancelled::found_by(TaskBlock& task) {
  const char* const what =
      " swallowed a Cancelled: something inside a cancelled scope caught it and did not throw it "
      "on; catch (...) blocks have to rethrow what they do not know";
  say(concat({suspect_.empty() ? swallower(task) : suspect_, what}));
  forget(task);
}

void SwallowedCancelled::say(std::string text) {
  said_ = std::move(text);
  log(LogLevel::kWarning, said_);
}

}  // namespace detail

std::string last_swallowed_cancelled() {
  return detail::current_scheduler().swallowed().said();
}

}  // namespace weft::fibers
