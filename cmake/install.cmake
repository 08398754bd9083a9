# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# What is installed: component `shim` (libraries, headers, the CMake package `tailrace` with the targets
# tailrace::shim and tailrace::shim_static) and component `agent` (the program). The shim's part is the
# same with and without the agent.
include(CMakePackageConfigHelpers)

set(tailrace_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tailrace)

# Both carry what they need of shm/ inside.
set(tailrace_installed)
foreach(target tailrace_shim tailrace_shim_static)
  if(TARGET ${target})
    string(REGEX REPLACE "^tailrace_" "" name ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT includes MATCHES "INSTALL_INTERFACE")
      target_include_directories(${target}
                                 INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    endif()
    list(APPEND tailrace_installed ${target})
  endif()
endforeach()

if(tailrace_installed)
  install(
    TARGETS ${tailrace_installed}
    EXPORT tailrace_targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT shim
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT shim)
  install(
    DIRECTORY ${PROJECT_SOURCE_DIR}/shm/include/ ${PROJECT_SOURCE_DIR}/shim/include/
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT shim
    FILES_MATCHING
    PATTERN "*.h"
    PATTERN "*.hpp")
  install(
    EXPORT tailrace_targets
    NAMESPACE tailrace::
    FILE tailrace-targets.cmake
    DESTINATION ${tailrace_package_dir}
    COMPONENT shim)

  configure_package_config_file(
    ${CMAKE_CURRENT_LIST_DIR}/tailrace-config.cmake.in ${PROJECT_BINARY_DIR}/tailrace-config.cmake
    INSTALL_DESTINATION ${tailrace_package_dir}
    NO_SET_AND_CHECK_MACRO)
  # Before 1.0 a minor version may break what was compiled against an earlier one.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/tailrace-config-version.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(
    FILES ${PROJECT_BINARY_DIR}/tailrace-config.cmake
          ${PROJECT_BINARY_DIR}/tailrace-config-version.cmake
    DESTINATION ${tailrace_package_dir}
    COMPONENT shim)
endif()

foreach(program tailrace tailrace_cli)
  if(TARGET ${program})
    get_target_property(type ${program} TYPE)
    if(type STREQUAL "EXECUTABLE")
      install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT agent)
    endif()
  endif()
endforeach()

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT shim)
