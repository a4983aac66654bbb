// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a transfer may throw: Error tells about the other side or the way there, LocalError about
// this process.

#pragma once

#include <curl/curl.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "weft/fibers/detail/requirements.h"

namespace weft::curl {

// A transfer that libcurl gave up. An HTTP status of 400 or more is not an error.
class Error : public std::runtime_error {
 public:
  // `detail` is libcurl's own text about this transfer; empty: the general text for the code.
  Error(CURLcode code, std::string url, std::string_view detail = {});
  CURLcode code() const { return code_; }
  const std::string& url() const { return url_; }
  // The reason alone; what() also names the URL.
  const std::string& text() const { return text_; }

 private:
  CURLcode code_;
  std::string url_;
  std::string text_;
};

// This process or this machine lacked what the transfer needed: descriptors (EMFILE, ENFILE),
// memory (ENOMEM, ENOBUFS) or a thread (EAGAIN). It says nothing about the server, so it is no
// Error: whoever takes an Error for a dead server does not take this for one. code() is the
// system's.
//
// libcurl reports some of these as something else: without descriptors it "could not resolve host".
// After such a result weft::curl tries whether it can open descriptors now. If it cannot, the
// transfer ends with a LocalError, because nothing can be said about the host.
class LocalError : public std::system_error {
 public:
  LocalError(int error, std::string url, std::string_view detail = {});
  const std::string& url() const { return url_; }

 private:
  std::string url_;
};

}  // namespace weft::curl
