// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/local_failure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace weft::curl {

namespace {

// What opening some descriptors fails with now, or 0. A name look-up needs three at a time: two to
// wake the loop and one to ask.
int lack_of_descriptors() {
  std::array<int, 3> fds;
  int error = 0;
  for (int& fd : fds) {
    fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && is_local_error(errno)) error = errno;
  }
  for (const int fd : fds) {
    if (fd >= 0) ::close(fd);
  }
  return error;
}

// Results by which libcurl also reports that it could not open a socket or a file, or start a
// thread, without saying so.
bool may_hide_a_lack(CURLcode result) {
  switch (result) {
    case CURLE_FAILED_INIT:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
      return true;
    default:
      return false;
  }
}

// Whether the handle's URL has an address in it instead of a name.
bool has_numeric_host(CURL* easy) {
  const char* text = nullptr;
  curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text);
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
  if (text == nullptr || curl_url_set(url.get(), CURLUPART_URL, text, 0) != CURLUE_OK) return false;
  char* part = nullptr;
  if (curl_url_get(url.get(), CURLUPART_HOST, &part, 0) != CURLUE_OK) return false;
  const std::unique_ptr<char, decltype(&curl_free)> host(part, &curl_free);
  in_addr address{};
  return host.get()[0] == '[' || ::inet_pton(AF_INET, host.get(), &address) == 1;
}

}  // namespace

bool is_local_error(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

int local_failure(CURL* easy, CURLcode result, int socket_error, std::string_view detail) {
  if (result == CURLE_OK) return 0;
  if (result == CURLE_OUT_OF_MEMORY) return ENOMEM;
  if (is_local_error(socket_error)) return socket_error;
  long system_error = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
  if (is_local_error(static_cast<int>(system_error))) return static_cast<int>(system_error);
  // A connection that was refused was tried.
  if (result == CURLE_COULDNT_CONNECT && system_error != 0) return 0;
  if (!may_hide_a_lack(result)) return 0;
  if (const int lack = lack_of_descriptors()) return lack;
  // There is nothing to ask anybody for: only memory can have been missing.
  if (result == CURLE_COULDNT_RESOLVE_HOST && has_numeric_host(easy)) return ENOMEM;
  return detail.find("thread failed to start") == std::string_view::npos ? 0 : EAGAIN;
}

}  // namespace weft::curl
