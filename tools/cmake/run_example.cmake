# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# cmake -DPROGRAM=... -DSOURCE=... [-DSERVER=...] -P run_example.cmake
# Runs an example. It has to succeed, and to print what the "Prints:" block of its first comment says, line by line.
# SERVER is what tests/docs/with_server is to start for it.

file(READ "${SOURCE}" text)
set(expected "")
if(text MATCHES "\n// Prints:\n((//   [^\n]*\n)+)")
  string(REGEX REPLACE "(^|\n)//   " "\\1" expected "${CMAKE_MATCH_1}")
endif()

set(command "${PROGRAM}")
if(SERVER)
  set(command "${CMAKE_CURRENT_LIST_DIR}/../../tests/docs/with_server" "${SERVER}" "${PROGRAM}")
endif()
execute_process(COMMAND ${command} OUTPUT_VARIABLE printed RESULT_VARIABLE status)
message("${printed}")
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${status}")
elseif(NOT printed STREQUAL expected)
  message(FATAL_ERROR "the comment in ${SOURCE} says that this prints:\n${expected}")
endif()
