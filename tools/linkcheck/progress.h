// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include "tools/linkcheck/crawler.h"

namespace linkcheck {

// Writes a line to stderr ten times a second, over the last one, and wipes it away at its end.
//
// Blocks: yes, until cancelled.
// Cancel: at once, after wiping.
// Threads: the run's own only.
void show_progress(const CrawlProgress& progress);

}  // namespace linkcheck
