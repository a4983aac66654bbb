// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What weft's headers need of a compiler and its options, said before the first of many errors.
// Each header of weft that includes no other one includes this. Not for use outside weft.

#pragma once

// After the #error the compiler stops here, for there is no such file: what else it would say
// follows from it.
#define WEFT_STOP "weft/stops_here_see_the_error_above"

#if !defined(__cplusplus) || __cplusplus < 202002L
#error "weft needs C++20: compile with -std=c++20, by g++ 12, clang 16 or a later one"
#include WEFT_STOP
#endif
#ifndef __cpp_exceptions
#error \
    "weft needs exceptions, which end tasks and carry cancellations: compile without -fno-exceptions"
#include WEFT_STOP
#endif
#include <version>
#ifndef __cpp_lib_source_location
#error \
    "weft needs std::source_location, which this compiler does not have: use g++ 12, clang 16 or a later one (Debian 12: apt-get install clang-16)"
#include WEFT_STOP
#endif

#undef WEFT_STOP
