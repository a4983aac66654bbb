// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works of the subject "asio" that have a file of their own: what weft's flavour of Asio is
// measured beside.

#pragma once

#include "tools/bench/common/meter.h"

namespace bench {

// asio_awaited.cc
void await_post(Meter& meter);
void await_read(Meter& meter);
void await_coroutine(Meter& meter);

// asio_beast.cc: they serve until they are killed.
void asio_echo(Meter& meter);
void websocket_echo(Meter& meter);
void http_hello(Meter& meter);

}  // namespace bench
