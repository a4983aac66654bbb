# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Install rules, the CMake package and the pkg-config files. What a library needs from elsewhere is read off its link
# libraries, so that this file does not have to be told twice.
#
# Components, for packagers (cmake --install build --component weft_tls):
#   weft_<library>   one for each library made by weft_library(): its archive, headers, CMake targets and pkg-config file.
#                    weft_fibers, which all others need, has the CMake package itself too
#   weft_docs        README, guides and decisions, with the examples that they refer to, laid out as in the sources
#   weft_gdb         gdb's commands for tasks: share/weft/gdb/weft.py

include_guard(GLOBAL)
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(weft_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")
set(weft_templates "${CMAKE_CURRENT_LIST_DIR}")

# Collects in <out> everything <target> links, looking through weft's own object libraries; those go to <out>_objects.
function(weft_collect_links target out)
  get_target_property(links ${target} LINK_LIBRARIES)
  set(found "")
  set(objects "")
  foreach(link IN LISTS links)
    string(REGEX REPLACE "^\\$<(LINK_ONLY|BUILD_INTERFACE):(.*)>$" "\\2" link "${link}")
    if(TARGET "${link}")
      get_target_property(aliased ${link} ALIASED_TARGET)
      if(aliased)
        set(link ${aliased})
      endif()
      get_target_property(type ${link} TYPE)
      if(type STREQUAL "OBJECT_LIBRARY")
        weft_collect_links(${link} inner)
        list(APPEND found ${inner})
        list(APPEND objects ${link} ${inner_objects})
        continue()
      endif()
    endif()
    if(link)
      list(APPEND found "${link}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES found)
  set(${out} "${found}" PARENT_SCOPE)
  set(${out}_objects "${objects}" PARENT_SCOPE)
endfunction()

# Says what <links> mean to find_package and to pkg-config: <prefix>_{components,packages,requires,libs}.
function(weft_translate_links prefix)
  foreach(list IN ITEMS components packages requires libs)
    set(${list} "")
  endforeach()
  foreach(link IN LISTS ARGN)
    if(link MATCHES "^weft_(.*)$")
      get_target_property(name ${link} EXPORT_NAME)
      list(APPEND components ${name})
      list(APPEND requires "weft-${name} = ${PROJECT_VERSION}")
    elseif(link MATCHES "^Boost::(.*)$")
      list(APPEND packages "Boost 1.81 COMPONENTS ${CMAKE_MATCH_1}")
      if(NOT CMAKE_MATCH_1 STREQUAL "headers")
        list(APPEND libs "-lboost_${CMAKE_MATCH_1}")
      endif()
    elseif(link MATCHES "^absl::(.*)$")
      list(APPEND packages "absl")
      list(APPEND requires "absl_${CMAKE_MATCH_1}")
    elseif(link STREQUAL "Threads::Threads")
      list(APPEND packages "Threads")
      list(APPEND libs "-pthread")
    elseif(link STREQUAL "CURL::libcurl")
      # Not "Requires: libcurl": with --static that names the libraries inside the shared libcurl, whose development
      # packages nobody has.
      list(APPEND packages "CURL")
      list(APPEND libs "-lcurl")
    elseif(link MATCHES "^OpenSSL::(.*)$")
      string(TOLOWER "${CMAKE_MATCH_1}" library)
      list(APPEND packages "OpenSSL 3.0")
      list(APPEND libs "-l${library}")
    elseif(link MATCHES "^[a-z][a-z0-9]*$")
      list(APPEND libs "-l${link}")
    else()
      message(FATAL_ERROR "WeftInstall: say here what linking '${link}' means to an installed weft")
    endif()
  endforeach()
  foreach(list IN ITEMS components packages requires libs)
    list(REMOVE_DUPLICATES ${list})
    set(${prefix}_${list} "${${list}}" PARENT_SCOPE)
  endforeach()
endfunction()

# weft's libraries are static only, so whoever links one needs all below it: nothing here is "private" to pkg-config.
function(weft_write_pc name)
  string(JOIN ", " WEFT_PC_REQUIRES ${link_requires})
  string(JOIN " " WEFT_PC_LIBS ${link_libs})
  set(WEFT_PC_CFLAGS "")
  if(WEFT_STACK_CLASH_PROTECTION)
    set(WEFT_PC_CFLAGS "-fstack-clash-protection")
  endif()
  # Relative where they may be, so that the files stay right wherever the tree is installed or moved to. A packager may
  # give absolute folders, which do not move.
  set(WEFT_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(WEFT_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(WEFT_PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
  if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(WEFT_PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
    set(WEFT_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(WEFT_PC_PREFIX "\${pcfiledir}/${up}")
  endif()
  set(WEFT_PC_NAME ${name})
  configure_file("${weft_templates}/weft.pc.in" "${PROJECT_BINARY_DIR}/weft-${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/weft-${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
    COMPONENT weft_${name})
endfunction()

get_property(weft_libraries GLOBAL PROPERTY WEFT_LIBRARIES)
set(WEFT_COMPONENTS "")
set(WEFT_COMPONENT_TABLE "")
foreach(library IN LISTS weft_libraries)
  get_target_property(name ${library} EXPORT_NAME)
  get_target_property(folder ${library} SOURCE_DIR)
  weft_collect_links(${library} links)
  weft_translate_links(link ${links})
  get_target_property(options ${library} INTERFACE_LINK_OPTIONS)
  if(options MATCHES "LINKER:([^;]*)")
    list(PREPEND link_libs "-Wl,${CMAKE_MATCH_1}")
  endif()

  install(TARGETS ${library} ${links_objects} EXPORT weft-${name}Targets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT weft_${name}
    INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT weft-${name}Targets NAMESPACE weft:: DESTINATION "${weft_cmake_dir}" COMPONENT weft_${name})
  if(IS_DIRECTORY "${folder}/include")
    install(DIRECTORY "${folder}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT weft_${name}
      FILES_MATCHING PATTERN "*.h")
  endif()
  weft_write_pc(${name})

  list(APPEND WEFT_COMPONENTS ${name})
  string(APPEND WEFT_COMPONENT_TABLE "set(_weft_${name}_components \"${link_components}\")\n"
    "set(_weft_${name}_packages \"${link_packages}\")\n")
endforeach()

configure_package_config_file("${weft_templates}/weftConfig.cmake.in" "${PROJECT_BINARY_DIR}/weftConfig.cmake"
  INSTALL_DESTINATION "${weft_cmake_dir}")
# Until 1.0 a minor version may break.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weftConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/weftConfig.cmake" "${PROJECT_BINARY_DIR}/weftConfigVersion.cmake"
  DESTINATION "${weft_cmake_dir}" COMPONENT weft_fibers)

foreach(component IN ITEMS weft_fibers weft_docs)
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT ${component})
endforeach()
# As in the sources: the guides refer to each other, to the examples and to the decisions.
install(FILES "${PROJECT_SOURCE_DIR}/README.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT weft_docs)
foreach(folder IN ITEMS fibers loop shim)
  install(FILES "${PROJECT_SOURCE_DIR}/${folder}/README.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}/${folder}"
    COMPONENT weft_docs)
endforeach()
file(GLOB weft_flavour_examples RELATIVE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/shim/flavours/*/examples")
foreach(folder IN ITEMS fibers/examples fibers/tls/examples loop/examples loop/tls/examples shim/examples tools/docs ${weft_flavour_examples})
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}/" DESTINATION "${CMAKE_INSTALL_DOCDIR}/${folder}"
    COMPONENT weft_docs)
endforeach()
install(FILES "${PROJECT_SOURCE_DIR}/tools/gdb/weft.py" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft/gdb"
  COMPONENT weft_gdb)
