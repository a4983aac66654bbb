// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The options of a loop's multi handle: what all its transfers share.

#pragma once

#include <curl/curl.h>

#include <functional>

#include "weft/fibers/detail/requirements.h"

namespace weft::curl {

struct MultiOptions {
  // How many connections are kept open, those in use included. When there are more, the one that
  // has been idle for the longest is closed. 0: as many as there have been transfers at a time, and
  // never fewer than 100. Idle connections cost a descriptor each until libcurl finds them older
  // than CURLOPT_MAXAGE_CONN (118 s) at a later request, or the loop closes. (CURLMOPT_MAXCONNECTS)
  long max_connections = 0;
  // How many connections may be open, in all and to one host. Further transfers wait inside libcurl
  // for one to become free. 0: no limit. (CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_HOST_CONNECTIONS)
  long max_total_connections = 0;
  long max_host_connections = 0;
  // Whether HTTP/2 transfers to one host may share a connection, and how many may.
  // (CURLMOPT_PIPELINING, CURLMOPT_MAX_CONCURRENT_STREAMS)
  bool multiplex = true;
  long max_concurrent_streams = 100;
  // The last word on the handle: any curl_multi_setopt, except for the socket and the timer
  // callback, which weft::curl sets again afterwards. It must not wait.
  std::function<void(CURLM*)> configure = {};
};

// Sets the options of the current loop's multi handle, which exists from its first use until the
// loop closes. May be called again, also while transfers are under way; limits then hold for those
// that start later. Throws UsageError where there is no loop, or if libcurl refuses an option.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void set_multi_options(const MultiOptions& options);

}  // namespace weft::curl
