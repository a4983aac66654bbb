// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Certificates for tests, made on the spot: nothing has to be kept, and nothing expires.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/tls/ssl_context.h"

namespace weft::fibers {

// PEM.
struct TestCertificate {
  std::string certificate;
  std::string key;
};

struct TestCertificateOptions {
  std::vector<std::string> dns_names = {};
  std::vector<std::string> ip_addresses = {};
  // Days from now.
  int valid_from = -1;
  int valid_until = 1;
};

// A certificate authority; nobody trusts it who is not told to.
class TestAuthority {
 public:
  // A root.
  explicit TestAuthority(const std::string& name);
  // One that `issuer` vouches for.
  TestAuthority(const std::string& name, const TestAuthority& issuer);
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  ~TestAuthority();

  TestCertificate issue(const std::string& name, const TestCertificateOptions& options) const;
  const std::string& certificate() const { return certificate_; }

 private:
  struct Identity;
  std::unique_ptr<Identity> identity_;
  std::string certificate_;
};

// The authority of most tests, and a certificate of it for "example.org" and 127.0.0.1. Made once,
// because keys take time.
const TestAuthority& test_authority();
const TestCertificate& test_certificate();

// A server with that certificate, and a client that trusts the authority alone.
SSLContext test_server_context();
SSLContext test_client_context();

}  // namespace weft::fibers
