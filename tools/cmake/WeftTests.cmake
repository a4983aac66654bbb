# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# How every test binary of weft is made.

include_guard(GLOBAL)
include(GoogleTest)
weft_find_package(GTest PACKAGE "libgtest-dev libgmock-dev" GROUP test ELSE WEFT_BUILD_TESTS)

# What the tests' own sources do without, because there are so many of them that it takes a third of their compile time;
# weft's own have it all. GoogleTest's macros make UBSan's checks of every reference for null, and of every call for its
# object's type, the larger part of a test.
function(weft_test_options target)
  weft_compile_options(${target})
  if(WEFT_SANITIZE MATCHES "thread")
    target_compile_options(${target} PRIVATE -O0)
  elseif(WEFT_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -O0 -fno-sanitize=null,vptr)
  elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(${target} PRIVATE -O1 -g1)
  endif()
endfunction()

# GoogleTest and what tests take from the standard library, parsed once a binary instead of once a file: a third of a
# test's compile time. Nothing of weft is in it, so a changed header of weft still recompiles only what includes it.
# With g++ only: a precompiled header of clang names the folder in which it was made, and ccache hands it to others.
set(weft_precompiled <gtest/gtest.h> <gmock/gmock.h> <algorithm> <atomic> <chrono> <deque> <exception> <functional> <map>
  <memory> <optional> <span> <sstream> <stdexcept> <string> <string_view> <thread> <tuple> <utility> <variant> <vector>)
set(weft_precompile_from 8)  # A header costs as much as it saves in so many files.

function(weft_precompile target)
  get_target_property(sources ${target} SOURCES)
  list(LENGTH sources count)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND count GREATER_EQUAL weft_precompile_from)
    target_precompile_headers(${target} PRIVATE ${weft_precompiled})
  endif()
endfunction()

# Several test files as one to the compiler, which then parses and instantiates once what they share. The file's name
# alone says where it belongs, so a new file changes its own unit and no other, until there are twice as many files.
set(weft_files_a_unit 8)

function(weft_unite target)
  if(NOT WEFT_UNITE)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  list(LENGTH sources count)
  set(units 1)
  foreach(twice 2 4 8 16)  # A digit tells no more of them apart.
    math(EXPR room "${units} * ${weft_files_a_unit}")
    if(room LESS count)
      set(units ${twice})
    endif()
  endforeach()
  # g++ takes a name without linkage for one that a header gives to others, where the file is an included one.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  foreach(source IN LISTS sources)
    get_filename_component(file "${source}" NAME)
    string(SHA256 digest "${file}")
    string(SUBSTRING "${digest}" 0 1 digit)
    math(EXPR unit "0x${digit} % ${units}")
    list(APPEND files_${unit} "${source}")
  endforeach()
  foreach(unit RANGE 15)
    list(LENGTH files_${unit} count)
    if(count GREATER 1)
      weft_unit(${target} ${unit} ${files_${unit}})
    endif()
  endforeach()
endfunction()

# weft_test(fibers_test SOURCES ... [LIBS ...] [LABEL fibers] [TIMEOUT 60] [SERIAL] [APART])
# A GoogleTest binary. Each case becomes a ctest test with the folder's name as its label. The cases are listed when
# ctest starts, not when the binary is linked, so building never runs anything. Under a sanitizer or optimised, where a
# process costs more than most cases do, each process runs many of them: one for every eight files. APART: no units.
function(weft_test name)
  cmake_parse_arguments(ARG "SERIAL;APART" "LABEL;TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_LABEL)
    get_filename_component(ARG_LABEL "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  weft_test_options(${name})
  weft_precompile(${name})
  if(NOT ARG_APART)
    weft_unite(${name})
  endif()
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} weft_test_support)
  # So that allocations may fail in every test. Sanitizers have an operator new of their own.
  if(NOT WEFT_SANITIZE)
    target_link_libraries(${name} PRIVATE weft::fail_allocations)
  endif()
  set(properties LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
  if(ARG_TIMEOUT GREATER 60)
    list(APPEND properties COST ${ARG_TIMEOUT})  # Those that take long begin first, or one is left at the end.
  endif()
  if(ARG_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT WEFT_SANITIZE)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
    return()
  endif()
  list(LENGTH ARG_SOURCES files)
  math(EXPR last "(${files} - 1) / 8")
  math(EXPR shards "${last} + 1")
  math(EXPR timeout "${ARG_TIMEOUT} * 5")
  foreach(shard RANGE ${last})
    add_test(NAME ${name}.${shard} COMMAND ${name})
    set_tests_properties(${name}.${shard} PROPERTIES ${properties} TIMEOUT ${timeout}
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()
