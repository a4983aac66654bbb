// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Everything of weft::uv.

#pragma once

#include "weft/uv/error.h"
#include "weft/uv/handle.h"
#include "weft/uv/request.h"
#include "weft/uv/run.h"
#include "weft/uv/stream.h"
