// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the servers of tls_echo share.

#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace bench {

// The driver makes one for each of its runs: a key and a certificate that it has signed itself.
inline std::string certificate_file() {
  const char* const file = std::getenv("WEFT_BENCH_CERTIFICATE");
  if (file == nullptr) {
    throw std::runtime_error(
        "WEFT_BENCH_CERTIFICATE has to name a file of a certificate and its key");
  }
  return file;
}

}  // namespace bench
