// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/lack.h"

#include <sys/resource.h>

#include <cerrno>
#include <new>
#include <system_error>

#include "weft/fibers/exception_group.h"

namespace linkcheck {
namespace {

constexpr char kNoMemory[] = "out of memory";

std::string words_for(int error) {
  rlimit limit{};
  switch (error) {
    case EMFILE:
      ::getrlimit(RLIMIT_NOFILE, &limit);
      return "out of file descriptors: this process may open " + std::to_string(limit.rlim_cur) +
             " at a time (ulimit -n); allow more, or ask for less with --jobs";
    case ENFILE:
      return "out of file descriptors: the whole system has none left";
    case ENOMEM:
      return kNoMemory;
    case ENOBUFS:
      return "out of memory for the network";
    case EAGAIN:
      return "no further thread can be started";
    default:
      return std::generic_category().message(error);
  }
}

}  // namespace

bool is_lack(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

void throw_lack(int error) {
  throw Lack(words_for(error));
}

std::optional<std::string> lack_in(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const weft::fibers::BaseExceptionGroup& group) {
    for (const std::exception_ptr& inner : group.exceptions()) {
      if (std::optional<std::string> words = lack_in(inner)) return words;
    }
  } catch (const Lack& lack) {
    return lack.what();
  } catch (const std::bad_alloc&) {
    return kNoMemory;
  } catch (const std::system_error& system_error) {
    if (is_lack(system_error.code().value())) return words_for(system_error.code().value());
  } catch (const std::exception& other) {
    const auto* const nested = dynamic_cast<const std::nested_exception*>(&other);
    if (nested != nullptr && nested->nested_ptr() != nullptr) return lack_in(nested->nested_ptr());
  } catch (...) {
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace linkcheck
