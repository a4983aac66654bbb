// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Whether a transfer failed for something that this process or machine lacked.

#pragma once

#include <curl/curl.h>

#include <string_view>

namespace weft::curl {

// EMFILE, ENFILE, ENOMEM, ENOBUFS.
bool is_local_error(int error);

// The errno of a local failure that `result` stands for, or 0 if there is no sign of one.
// `socket_error`: what socket() failed with last in this transfer, or 0. `detail`: libcurl's text.
int local_failure(CURL* easy, CURLcode result, int socket_error, std::string_view detail);

}  // namespace weft::curl
