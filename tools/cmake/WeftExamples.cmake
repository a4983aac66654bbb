# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Each .cc file in a layer's examples/ is a whole program, linked with that layer. It runs as a test without arguments,
# when tests are built: no example may need any, or a network, and each says in its first comment what it prints. One
# that talks to a server (weft_example_server_*) gets a server of its own from tests/docs/with_server, which passes its
# address as the argument. One whose library (weft_example_needs_*) is not installed is left out.

include_guard(GLOBAL)

set(weft_example_libs_fibers weft::fibers)
set(weft_example_libs_tls weft::tls)
set(weft_example_folder_tls fibers/tls)
set(weft_example_libs_loop weft::loop)
set(weft_example_libs_loop_tls weft::loop_tls)
set(weft_example_folder_loop_tls loop/tls)
set(weft_example_libs_shim weft::shim)
if(TARGET weft::curl)
  list(APPEND weft_example_libs_shim weft::curl)
endif()

# The guide's programs, of all layers.
set(weft_example_libs_guide weft::shim)
set(weft_example_folder_guide tools/docs/guide)

# Libraries that an example bridges and weft does not know, by the header that it includes.
find_path(WEFT_HIREDIS_INCLUDE hiredis/async.h)
find_library(WEFT_HIREDIS hiredis)
find_path(WEFT_LIBPQ_INCLUDE libpq-fe.h PATH_SUFFIXES postgresql)
find_library(WEFT_LIBPQ pq)
mark_as_advanced(WEFT_HIREDIS_INCLUDE WEFT_HIREDIS WEFT_LIBPQ_INCLUDE WEFT_LIBPQ)
set(weft_example_needs_redis HIREDIS)
set(weft_example_server_redis redis)
set(weft_example_needs_postgres LIBPQ)
set(weft_example_server_postgres postgres)

set(weft_example_layers fibers loop shim guide)
foreach(flavour IN ITEMS cpp20 asio boost_fiber uv)
  if(flavour STREQUAL "boost_fiber" AND WEFT_SANITIZE)
    continue()  # Sanitizers know nothing of its stacks: see shim/README.md.
  endif()
  if(TARGET weft::${flavour})
    list(APPEND weft_example_layers ${flavour})
    set(weft_example_libs_${flavour} weft::${flavour})
    set(weft_example_folder_${flavour} shim/flavours/${flavour})
  endif()
endforeach()
add_custom_target(weft_examples)
if(TARGET weft::tls)
  list(APPEND weft_example_layers tls loop_tls)
endif()
foreach(layer IN LISTS weft_example_layers)
  set(folder "${layer}")
  if(weft_example_folder_${layer})
    set(folder "${weft_example_folder_${layer}}")
  endif()
  file(GLOB programs CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/examples/*.cc")
  foreach(program IN LISTS programs)
    file(STRINGS "${program}" uses_curl REGEX "weft/curl/")
    if(uses_curl AND NOT TARGET weft::curl)
      continue()
    endif()
    get_filename_component(name "${program}" NAME_WE)
    set(needs "${weft_example_needs_${name}}")
    if(needs AND NOT (WEFT_${needs} AND WEFT_${needs}_INCLUDE))
      message(STATUS "weft: ${layer}/examples/${name}.cc is left out: its library is not here (tools/setup test)")
      continue()
    endif()
    set(target "weft_example_${layer}_${name}")
    add_executable(${target} "${program}")
    add_dependencies(weft_examples ${target})
    weft_compile_options(${target})
    target_link_libraries(${target} PRIVATE ${weft_example_libs_${layer}})
    if(needs)
      target_include_directories(${target} SYSTEM PRIVATE "${WEFT_${needs}_INCLUDE}")
      target_link_libraries(${target} PRIVATE "${WEFT_${needs}}")
    endif()
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
    if(WEFT_BUILD_TESTS)
      add_test(NAME "example.${layer}.${name}"
        COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=$<TARGET_FILE:${target}>" "-DSOURCE=${program}"
                "-DSERVER=${weft_example_server_${name}}"
                -P "${PROJECT_SOURCE_DIR}/tools/cmake/run_example.cmake")
      set_tests_properties("example.${layer}.${name}" PROPERTIES LABELS examples TIMEOUT 60)
    endif()
  endforeach()
endforeach()
