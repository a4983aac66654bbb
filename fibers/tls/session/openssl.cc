// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/tls/session/openssl.h"

#include <openssl/err.h>

#include <array>
#include <cstring>
#include <new>

namespace weft::fibers::detail {

BioPtr bio_of(std::string_view text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (bio == nullptr) throw std::bad_alloc();
  return bio;
}

std::string last_error_text(unsigned long& code) {
  code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

void throw_ssl_error(const std::string& doing) {
  unsigned long code = 0;
  const std::string text = last_error_text(code);
  throw SSLError(doing + ": " + text, code);
}

}  // namespace weft::fibers::detail
