// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

// The consumer's own future: what "loop/future.h" must mean to it, whatever weft calls its files.
namespace consumer {
int the_future();
}  // namespace consumer
