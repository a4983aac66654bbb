// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "tools/linkcheck/site.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/nursery.h"

namespace linkcheck {

// A header of answers about what is not served because a symbolic link leads out of the site.
inline constexpr char kOutsideHeader[] = "Linkcheck-Outside";

struct ServerOptions {
  weft::fibers::Duration latency{};  // waited before each answer
  double hang = 0;  // share of the targets that never get one; the start page always does
};

// Serves `site` on a free port of 127.0.0.1, which it reports by `status`. No client can end it; a
// Lack of its own does, because clients would take it for the site's fault.
//
// Blocks: yes, until cancelled.
// Cancel: closes all connections, also in the middle of an answer.
// Threads: the run's own only.
void serve_site(const Site& site, const ServerOptions& options,
                weft::fibers::TaskStatus<std::uint16_t>& status);

// Whether a target is one of the share that hangs: always the same ones, whatever the order of the
// requests.
bool hangs(std::string_view target, double share);

}  // namespace linkcheck
