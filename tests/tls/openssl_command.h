// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The `openssl` program as the other end of a connection: s_server, s_client.

#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "weft/fibers/owned_fd.h"

namespace weft::fibers {

// The program, running; ended when this is. Its folder, with what was written into it, goes too.
class OpensslCommand {
 public:
  // A folder for its files.
  OpensslCommand();
  OpensslCommand(const OpensslCommand&) = delete;
  OpensslCommand& operator=(const OpensslCommand&) = delete;
  ~OpensslCommand();

  // The path of a new file in the folder.
  std::string write(const std::string& name, const std::string& text) const;
  void start(std::vector<std::string> arguments);
  // What it prints, up to and with the next line that has `part` in it; to its end if none has.
  std::string read_until(const std::string& part);
  void say(const std::string& line);

 private:
  std::string folder_;
  pid_t pid_ = -1;
  int input_ = -1;
  OwnedFd output_;
  std::string unread_;
};

}  // namespace weft::fibers
