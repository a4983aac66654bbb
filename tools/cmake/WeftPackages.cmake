# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What weft is built on. One that is missing is named together with the command that installs it.

include_guard(GLOBAL)

# weft_need(<what> <Debian's package> <group of tools/setup> <found> [ELSE <the option that does without>])
# Ends the configuration if <found> is false.
function(weft_need what package group found)
  cmake_parse_arguments(ARG "" "ELSE" "" ${ARGN})
  if(found)
    return()
  endif()
  string(CONCAT text "weft needs ${what}, which CMake does not find.\n"
    "  On Debian 12:   apt-get install ${package}\n"
    "  or, with all of its kind:   ${PROJECT_SOURCE_DIR}/tools/setup ${group}\n")
  if(ARG_ELSE)
    string(APPEND text "  Without it:   cmake -D${ARG_ELSE}=OFF\n")
  endif()
  message(FATAL_ERROR "${text}")
endfunction()

# weft_find_package(<name> [<version>] [COMPONENTS ...] PACKAGE <Debian's package> [GROUP <of tools/setup>] [ELSE <option>])
macro(weft_find_package name)
  cmake_parse_arguments(WEFT_FIND "" "PACKAGE;GROUP;ELSE" "" ${ARGN})
  if(NOT WEFT_FIND_GROUP)
    set(WEFT_FIND_GROUP demo)
  endif()
  find_package(${name} ${WEFT_FIND_UNPARSED_ARGUMENTS} QUIET)
  string(JOIN " " WEFT_FIND_WHAT ${name} ${WEFT_FIND_UNPARSED_ARGUMENTS})
  weft_need("${WEFT_FIND_WHAT}" "${WEFT_FIND_PACKAGE}" "${WEFT_FIND_GROUP}" "${${name}_FOUND}" ELSE "${WEFT_FIND_ELSE}")
endmacro()
