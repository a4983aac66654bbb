// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "tools/linkcheck/page.h"
#include "tools/linkcheck/robots.h"

namespace linkcheck {

struct FetchOptions {
  bool body = true;       // GET; without: HEAD
  bool no_proxy = false;  // straight to the host, whatever the environment says
  std::chrono::nanoseconds timeout{};
  PageLimits limits;
};

// What came of one request. Redirects are not followed.
struct Fetched {
  int status = 0;         // 0: no answer, `error` says why
  std::string error;      // also with a status, when the body was not what the head had promised
  bool outside = false;   // our own server: by a symbolic link out of what it serves
  bool rejected = false;  // the answer makes no sense: perhaps the method is not known there
  std::string type;
  std::string location;
  std::uint64_t bytes = 0;   // of the body
  std::optional<Page> page;  // a body that can hold links, read as it came
  std::string note;
};

// One request, by weft::curl. Whatever goes wrong with it is in the result. Cancelled comes out,
// and Lack if it is this process that lacked something.
//
// Blocks: yes, always a checkpoint; for `timeout` at most.
// Cancel: at once.
// Threads: the run's own only.
Fetched fetch(const std::string& url, const FetchOptions& options);

// The rules of a host for us. Without a robots.txt everything is allowed; while its server fails,
// nothing is. A host that does not answer allows everything: the request for the link itself then
// tells what is wrong. Throws Lack as fetch() does.
//
// Blocks: yes, always a checkpoint; for `timeout` at most.
// Cancel: at once.
// Threads: the run's own only.
Robots fetch_robots(const std::string& origin, std::chrono::nanoseconds timeout);

}  // namespace linkcheck
