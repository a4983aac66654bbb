# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# How every target of weft is compiled. Consumers inherit only C++20, the include root and, unless they say no,
# -fstack-clash-protection.

include_guard(GLOBAL)
include(GNUInstallDirs)

set(WEFT_SANITIZE "" CACHE STRING
  "Sanitizers for weft's own build tree: 'address,undefined' or 'thread' (the latter with clang)")
option(WEFT_COVERAGE "Instrument weft's own build tree for gcov" OFF)

if(PROJECT_IS_TOP_LEVEL)
  # ccache when it is there; a launcher that the user chose stays.
  if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(WEFT_CCACHE ccache)
    mark_as_advanced(WEFT_CCACHE)
    if(WEFT_CCACHE)
      set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_CURRENT_LIST_DIR}/ccache")
    endif()
  endif()
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "The kind of build" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

# Sanitizers and coverage reach everything that links weft within this build tree, and nothing that is installed.
function(weft_instrument target)
  set(flags "")
  if(WEFT_SANITIZE)
    list(APPEND flags "-fsanitize=${WEFT_SANITIZE}" -fno-omit-frame-pointer -fno-sanitize-recover=all)
  endif()
  if(WEFT_COVERAGE)
    list(APPEND flags --coverage)
  endif()
  if(flags)
    target_compile_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags}>")
    target_link_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags}>")
  endif()
endfunction()

# The warnings weft's own code is held to; never exported.
function(weft_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Wformat=2
    $<$<BOOL:${WEFT_WERROR}>:-Werror>)
  if(WEFT_STACK_CLASH_PROTECTION)
    target_compile_options(${target} PUBLIC -fstack-clash-protection)
  endif()
  weft_instrument(${target})
  # A consumer's CMAKE_UNITY_BUILD is for his own sources: weft's have private names in common.
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD OFF CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
endfunction()

# Each function in a section of its own, so that a program's linker can leave out what the program does not use: the
# kernel is one object, because it is compiled as one unit.
function(weft_sections target)
  target_compile_options(${target} PRIVATE "$<$<NOT:$<CONFIG:Debug>>:-ffunction-sections;-fdata-sections>")
endfunction()

# weft_library(weft_fibers DIR fibers SOURCES ... [PUBLIC deps...] [PRIVATE deps...] [EXPORT_NAME fibers])
# A static library with the alias weft::<export name>, its public include root and the repository root as private one.
function(weft_library target)
  cmake_parse_arguments(ARG "" "EXPORT_NAME" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(weft::${ARG_EXPORT_NAME} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${ARG_EXPORT_NAME})
  target_include_directories(${target}
    PUBLIC "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
    PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  weft_compile_options(${target})
  weft_sections(${target})
  set_property(GLOBAL APPEND PROPERTY WEFT_LIBRARIES ${target})
endfunction()
