# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Each .cc file in a layer's examples/ is a whole program, linked with that layer. It runs as a test without arguments,
# when tests are built: no example may need any, or a network, and each says in its first comment what it prints.

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

set(weft_example_layers fibers loop shim)
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
    set(target "weft_example_${layer}_${name}")
    add_executable(${target} "${program}")
    add_dependencies(weft_examples ${target})
    weft_compile_options(${target})
    target_link_libraries(${target} PRIVATE ${weft_example_libs_${layer}})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
    if(WEFT_BUILD_TESTS)
      add_test(NAME "example.${layer}.${name}"
        COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=$<TARGET_FILE:${target}>" "-DSOURCE=${program}"
                -P "${PROJECT_SOURCE_DIR}/tools/cmake/run_example.cmake")
      set_tests_properties("example.${layer}.${name}" PROPERTIES LABELS examples TIMEOUT 60)
    endif()
  endforeach()
endforeach()
