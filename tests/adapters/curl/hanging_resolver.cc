// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/adapters/curl/hanging_resolver.h"

#include <dlfcn.h>
#include <netdb.h>

#include <semaphore>
#include <string_view>

namespace weft::curl {

namespace {

std::binary_semaphore begun{0};
std::binary_semaphore let_go{0};
std::binary_semaphore ended{0};

using GetAddrInfo = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

}  // namespace

void wait_for_look_up() {
  begun.acquire();
}

void let_look_up_fail() {
  let_go.release();
  ended.acquire();
}

}  // namespace weft::curl

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** result) {
  using namespace weft::curl;
  if (node != nullptr && std::string_view(node) == kHangingHost) {
    begun.release();
    let_go.acquire();
    ended.release();
    return EAI_FAIL;
  }
  static const auto next = reinterpret_cast<GetAddrInfo>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(node, service, hints, result);
}
