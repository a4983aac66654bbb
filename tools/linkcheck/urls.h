// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace linkcheck {

enum class UrlKind {
  kHttp,         // http or https: can be asked for
  kOtherScheme,  // mailto:, javascript:, data:, file: ...: known, left alone
  kMalformed,
};

// A reference made absolute.
struct Resolved {
  UrlKind kind = UrlKind::kMalformed;
  std::string
      url;  // normalised and without a fragment; for kMalformed the reference as it was written
  std::string fragment;  // decoded, without '#'; empty when there is none
  std::string problem;   // for kMalformed: what is wrong; for kOtherScheme: the scheme

  bool is_http() const { return kind == UrlKind::kHttp; }
};

// Resolves the references of one page. The same URL always comes out spelt the same: scheme and
// host in lower case, no default port, dot segments removed, percent-escapes in upper case and only
// where they are needed, a path of at least
// "/". By libcurl's URL interface, so that what is compared here is what libcurl asks for.
class UrlResolver {
 public:
  // `base` is an absolute http(s) URL; with any other, only absolute references resolve.
  explicit UrlResolver(const std::string& base);
  ~UrlResolver();
  UrlResolver(UrlResolver&&) noexcept;
  UrlResolver& operator=(UrlResolver&&) noexcept;

  // Spaces around the reference and line breaks inside it are dropped, as browsers do. Bytes that a
  // URL may not hold are escaped. An empty reference is the base itself.
  Resolved resolve(std::string_view reference) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// An absolute URL as a person types it; without a scheme it is none.
Resolved parse_url(std::string_view text);

// "https://example.org:8443", port only when it is not the scheme's own.
std::string origin_of(const std::string& url);

// "example.org", or "example.org:8443": http and https on their own ports are one host.
std::string host_of(const std::string& url);

// The path of a normalised URL, without its query: "/a/b.html".
std::string_view path_of(std::string_view url);

// Path and query, as robots.txt looks at them.
std::string_view path_and_query_of(std::string_view url);

}  // namespace linkcheck
