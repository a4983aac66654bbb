// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "tools/linkcheck/site.h"

namespace linkcheck::testing {

// A site made of functions, one a path; everything else is not found. Counts who asks for what.
class ScriptedSite : public Site {
 public:
  using Page = std::function<Answer()>;

  ScriptedSite& page(const std::string& path, Page answer);
  ScriptedSite& html(const std::string& path, const std::string& body);
  ScriptedSite& redirect(const std::string& path, const std::string& location);

  Answer answer(std::string_view target) const override;
  int asked(const std::string& target) const;

 private:
  std::map<std::string, Page> pages_;
  mutable std::map<std::string, int> asked_;
};

// A server that the check knows nothing about, in a thread of its own.
class OtherServer {
 public:
  explicit OtherServer(const Site& site);
  OtherServer(const OtherServer&) = delete;
  OtherServer& operator=(const OtherServer&) = delete;
  ~OtherServer();

  // "http://127.0.0.1:40123"
  const std::string& origin() const { return origin_; }

 private:
  std::string origin_;
  std::function<void()> stop_;
  std::thread thread_;
};

// A port of 127.0.0.1 that is taken and does not listen: connections to it are refused.
class ClosedPort {
 public:
  ClosedPort();
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  ~ClosedPort();
  std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

// Answers every connection with the same bytes, whatever is asked.
class RawServer {
 public:
  explicit RawServer(std::string answer);
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  ~RawServer();
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  std::uint16_t port_ = 0;
  int listener_;
  std::thread thread_;
};

// Speaks TLS under a certificate that it has signed itself, to one client after the other.
class SelfSignedServer {
 public:
  SelfSignedServer();
  SelfSignedServer(const SelfSignedServer&) = delete;
  SelfSignedServer& operator=(const SelfSignedServer&) = delete;
  ~SelfSignedServer();
  std::string url() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace linkcheck::testing
