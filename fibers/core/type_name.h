// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The names of types as a program writes them; weft's own without their namespace, and what
// std::throw_with_nested wraps without the wrapping.

#pragma once

#include "weft/fibers/format_exception.h"  // type_name
