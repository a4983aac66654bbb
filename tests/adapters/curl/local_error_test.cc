// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What this process lacks is never reported as the server's fault.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "tests/adapters/curl/curl_test_support.h"
#include "tests/tls/test_authority.h"
#include "weft/fibers/detail/sanitizers.h"

namespace weft::curl {
namespace {

// While it lives no more than `left` descriptors can be opened.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t left) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now = before_;
    const int next = ::dup(0);
    ::close(next);
    now.rlim_cur = static_cast<rlim_t>(next) + left;
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// UBSan opens a pipe to find out whether memory may be read, and takes its own lack for a fault.
#ifdef WEFT_ASAN
#define WEFT_NEEDS_FEW_DESCRIPTORS() GTEST_SKIP() << "the sanitizer needs descriptors of its own"
#else
#define WEFT_NEEDS_FEW_DESCRIPTORS() static_cast<void>(0)
#endif

// The errno of the LocalError that `fn` throws; 0 if it throws none.
template <class F>
int local_error_of(F&& fn) {
  try {
    fn();
  } catch (const LocalError& error) {
    return error.code().value();
  } catch (const Error& error) {
    ADD_FAILURE() << "reported as the server's: " << error.what();
  }
  return 0;
}

TEST(CurlLocalErrorTest, ASocketThatCannotBeOpened) {
  WEFT_NEEDS_FEW_DESCRIPTORS();
  with_server([](TestServer& server) {
    {
      const FewDescriptors none(0);
      EXPECT_EQ(local_error_of([&] { get(server.url("/hello")); }), EMFILE);
    }
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlLocalErrorTest, ASocketOfAHandleOfYourOwn) {
  WEFT_NEEDS_FEW_DESCRIPTORS();
  with_server([](TestServer& server) {
    CURL* easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, server.url("/hello").c_str());
    {
      const FewDescriptors none(0);
      EXPECT_EQ(local_error_of([&] { perform(easy); }), EMFILE);
    }
    curl_easy_cleanup(easy);
  });
}

TEST(CurlLocalErrorTest, ANameThatCannotBeLookedUp) {
  WEFT_NEEDS_FEW_DESCRIPTORS();
  with_server([](TestServer& server) {
    for (rlim_t left = 0; left < 3; ++left) {
      const FewDescriptors few(left);
      EXPECT_EQ(local_error_of([&] { get("http://weft.test/"); }), EMFILE) << left;
    }
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlLocalErrorTest, CertificatesThatCannotBeRead) {
  WEFT_NEEDS_FEW_DESCRIPTORS();
  with_server(
      [](TestServer& server) {
        const FewDescriptors one(1);
        EXPECT_EQ(local_error_of([&] { get(server.url("/hello")); }), EMFILE);
      },
      fibers::test_server_context());
}

TEST(CurlLocalErrorTest, ARefusedConnectionIsTheServersEvenThen) {
  WEFT_NEEDS_FEW_DESCRIPTORS();
  with_server([](TestServer&) {
    const ClosedPort closed;
    const FewDescriptors one(1);
    EXPECT_EQ(code_of([&] { get(closed.url()); }), CURLE_COULDNT_CONNECT);
  });
}

TEST(CurlLocalErrorTest, SaysWhatWasLackingAndForWhat) {
  const LocalError error(EMFILE, "http://a/", "could not resolve");
  EXPECT_EQ(error.url(), "http://a/");
  EXPECT_EQ(std::string(error.what()),
            "http://a/: this process lacks what the transfer needs (libcurl: could not resolve): "
            "Too many open files");
}

}  // namespace
}  // namespace weft::curl
