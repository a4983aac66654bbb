// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The servers of tls_echo that have a file of their own, for it needs OpenSSL: raw_tls.cc and
// asio_tls.cc, one in each subject.

#pragma once

#include "tools/bench/common/meter.h"

namespace bench {
void tls_echo(Meter& meter);
}
