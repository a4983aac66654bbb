// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What several of these tests say in the same way.

#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/stream.h"
#include "weft/tls/ssl_stream.h"

namespace weft::fibers {

inline void together(const std::function<void()>& first, const std::function<void()>& second) {
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { first(); });
    nursery.start_soon([&] { second(); });
  });
}

inline void shake_hands(SSLStream& client, SSLStream& server) {
  together([&] { client.do_handshake(); }, [&] { server.do_handshake(); });
}

// `fn` has to throw BrokenResourceError because of a Cause, whose text is returned.
template <class Cause>
std::string broken_because(const std::function<void()>& fn) {
  try {
    fn();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const BrokenResourceError& error) {
    try {
      std::rethrow_if_nested(error);
      ADD_FAILURE() << "no cause is given for: " << error.what();
    } catch (const Cause& cause) {
      return cause.what();
    } catch (const std::exception& other) {
      ADD_FAILURE() << "another cause: " << other.what();
    }
  }
  return "";
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "there is no '" << part << "' in: " << text;
}

inline std::string receive_exactly(ReceiveStream& stream, std::size_t count) {
  std::string data;
  while (data.size() < count) {
    const std::string some = stream.receive_some(count - data.size());
    if (some.empty()) break;
    data += some;
  }
  return data;
}

}  // namespace weft::fibers
