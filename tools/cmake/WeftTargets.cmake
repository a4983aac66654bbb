# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# How every target of weft is compiled. Consumers inherit only C++20, the include root and, unless they say no,
# -fstack-clash-protection.

include_guard(GLOBAL)
include(GNUInstallDirs)

# The warnings weft's own code is held to; never exported.
function(weft_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Wformat=2
    $<$<BOOL:${WEFT_WERROR}>:-Werror>)
  if(WEFT_STACK_CLASH_PROTECTION)
    target_compile_options(${target} PUBLIC -fstack-clash-protection)
  endif()
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
endfunction()

# weft_library(weft_fibers DIR fibers SOURCES ... [PUBLIC deps...] [PRIVATE deps...] [EXPORT_NAME fibers])
# A static library with the alias weft::<export name>, its public include root and the repository root as private one.
function(weft_library target)
  cmake_parse_arguments(ARG "" "EXPORT_NAME" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(weft::${ARG_EXPORT_NAME} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${ARG_EXPORT_NAME})
  target_include_directories(${target} PUBLIC
    "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  weft_compile_options(${target})
  set_property(GLOBAL APPEND PROPERTY WEFT_LIBRARIES ${target})
endfunction()
