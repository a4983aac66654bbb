// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// SSLStream in the conformance kits: both versions of TLS, both ways to end it, over streams with
// endless buffers, with none, and over sockets.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <tuple>
#include <utility>

#include "tests/tls/ssl_pairs.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

struct Variant {
  TLSVersion version;
  bool https_compatible;
};

std::string name_of(const ::testing::TestParamInfo<Variant>& info) {
  return std::string(info.param.version == TLSVersion::kTls12 ? "Tls12" : "Tls13") +
         (info.param.https_compatible ? "Https" : "");
}

class SSLStreamConformanceTest : public ::testing::TestWithParam<Variant> {
 protected:
  SSLPairOptions options() const {
    return {.version = GetParam().version, .https_compatible = GetParam().https_compatible};
  }
};

// Hands have to be shaken before: a stream without any buffer is not stuck only while that goes on.
SSLPair shaken(SSLPair pair) {
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { pair.first.do_handshake(); });
    nursery.start_soon([&] { pair.second.do_handshake(); });
  });
  return pair;
}

// trio: test_ssl.py::test_SSLStream_generic
TEST_P(SSLStreamConformanceTest, OverMemoryAndLockstepStreams) {
  testing::run_fiber_test([&] {
    testing::check_two_way_stream([&] { return ssl_memory_pair(options()); },
                                  [&] { return shaken(ssl_lockstep_pair(options())); });
  });
}

// trio: test_ssl.py::test_SSLStream_generic
TEST_P(SSLStreamConformanceTest, OverSockets) {
  testing::run_fiber_test(
      [&] { testing::check_two_way_stream([&] { return ssl_socket_pair(options()); }); });
}

INSTANTIATE_TEST_SUITE_P(All, SSLStreamConformanceTest,
                         ::testing::Values(Variant{TLSVersion::kTls12, false},
                                           Variant{TLSVersion::kTls12, true},
                                           Variant{TLSVersion::kTls13, false},
                                           Variant{TLSVersion::kTls13, true}),
                         name_of);

}  // namespace
}  // namespace weft::fibers
