# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# cmake -DPROGRAM=... -DSOURCE=... -P run_example.cmake
# Runs an example. It has to succeed, and to print what the "Prints:" block of its first comment says, line by line.

file(READ "${SOURCE}" text)
set(expected "")
if(text MATCHES "\n// Prints:\n((//   [^\n]*\n)+)")
  string(REGEX REPLACE "(^|\n)//   " "\\1" expected "${CMAKE_MATCH_1}")
endif()

execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE printed RESULT_VARIABLE status)
message("${printed}")
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${status}")
elseif(NOT printed STREQUAL expected)
  message(FATAL_ERROR "the comment in ${SOURCE} says that this prints:\n${expected}")
endif()
