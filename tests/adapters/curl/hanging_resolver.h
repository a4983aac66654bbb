// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A name look-up that hangs: this binary's getaddrinfo stands before the C library's, and keeps
// whoever asks for kHangingHost until it is told to let go.

#pragma once

namespace weft::curl {

inline constexpr const char* kHangingHost = "hanging.test";

// Returns once a look-up of kHangingHost has begun.
void wait_for_look_up();
// Lets it fail, and returns when it has.
void let_look_up_fail();

}  // namespace weft::curl
