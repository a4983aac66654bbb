// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a certificate says.

#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "weft/fibers/detail/requirements.h"

struct x509_st;

namespace weft::fibers {

// A value.
struct Certificate {
  // Names as in RFC 2253: "CN=example.org,O=Example".
  std::string subject;
  std::string issuer;
  std::string serial_number;  // Hexadecimal.
  // For whom it is valid.
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;
  // The whole of it, for those who want to know more.
  std::string der;
};

namespace detail {
Certificate read_certificate(x509_st& certificate);
}

}  // namespace weft::fibers
