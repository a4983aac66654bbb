// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The network as OpenSSL sees it: a BIO that reads from one string and writes to another. OpenSSL's
// own memory BIOs never give back what they have once grown to; after a large transfer that would
// be several records' worth in each direction, for as long as the connection lives.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "fibers/tls/session/openssl.h"

namespace weft::fibers::detail {

class NetworkBio {
 public:
  NetworkBio() = default;
  NetworkBio(const NetworkBio&) = delete;
  NetworkBio& operator=(const NetworkBio&) = delete;

  // A BIO on this object, which must outlive it. Throws std::bad_alloc.
  BioPtr make_bio();

  // What has come from the network, and that no more will.
  void feed(std::string data);
  // The same without a copy, until take_back(), which copies what OpenSSL has not read by then.
  void lend(std::string_view data) noexcept { lent_ = data; }
  void take_back();
  void feed_eof() { eof_ = true; }
  bool fed_eof() const { return eof_; }
  std::size_t pending_input() const { return input_.size() - read_ + lent_.size(); }
  // What was fed and OpenSSL has not read.
  std::string take_input();

  // What has to go to the network.
  std::size_t pending_output() const { return output_.size(); }
  std::string take_output();

  // OpenSSL was refused because memory ran out: throws std::bad_alloc, once.
  void rethrow();

 private:
  friend struct NetworkBioMethod;
  void free_input();
  int read(char* buffer, int size);
  int write(const char* data, int size) noexcept;

  std::string input_;
  std::string_view lent_;  // Comes after input_.
  std::size_t read_ = 0;   // How much of input_ OpenSSL has had.
  std::string output_;
  bool eof_ = false;
  bool out_of_memory_ = false;
};

}  // namespace weft::fibers::detail
