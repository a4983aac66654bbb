// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/swallowed_cancelled.h"

#include <new>
#include <string>

#include "fibers/core/current_scheduler.h"
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

// Must not throw: a scope is being left.
template <class MakeText>
void SwallowedCancelled::say(const MakeText& make_text) noexcept {
  log_quietly(LogLevel::kWarning, [&]() -> const std::string& { return said_ = make_text(); });
}

void SwallowedCancelled::thrown_to(TaskBlock& task) {
  if (++task.unheeded == kStubborn) [[unlikely]]
    say_stubborn(task);
}

void SwallowedCancelled::say_stubborn(const TaskBlock& task) {
  say([&] {
    const char* const what =
        " times and goes on: all its waits are cancelled at once, and the scope that is to end "
        "never does; catch (...) blocks have to rethrow what they do not know";
    return concat({swallower(task), " swallowed a Cancelled ", kStubborn, what});
  });
}

void SwallowedCancelled::forget(TaskBlock& task) {
  task.unheeded = 0;
  suspect_.clear();
}

void SwallowedCancelled::ended_normally(const TaskBlock& task) {
  try {
    suspect_ = swallower(task);
  } catch (const std::bad_alloc&) {
    suspect_.clear();  // The report then names the task that finds it.
  }
}

void SwallowedCancelled::found_by(TaskBlock& task) {
  say([&] {
    const char* const what =
        " swallowed a Cancelled: something inside a cancelled scope caught it and did not throw it "
        "on; catch (...) blocks have to rethrow what they do not know";
    return concat({suspect_.empty() ? swallower(task) : suspect_, what});
  });
  forget(task);
}

}  // namespace detail

std::string last_swallowed_cancelled() {
  return detail::current_scheduler().swallowed().said();
}

}  // namespace weft::fibers
