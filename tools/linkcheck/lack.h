// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

namespace linkcheck {

// linkcheck itself lacked something: descriptors, memory, a thread. It says nothing about any link,
// so it ends the check instead of becoming a finding.
class Lack : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// EMFILE, ENFILE, ENOMEM, ENOBUFS: what a system call answers when this process or this machine
// lacks something.
bool is_lack(int error);

// Throws the Lack that `error` stands for, in words: "only 16 files may be open at a time".
[[noreturn]] void throw_lack(int error);

// What was lacking, in words, if `error` is about that, or is a group that holds such an error: a
// Lack, std::bad_alloc, or a std::system_error with one of the codes above.
std::optional<std::string> lack_in(const std::exception_ptr& error);

}  // namespace linkcheck
