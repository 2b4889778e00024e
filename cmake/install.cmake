# SPDX-License-Identifier: Apache-2.0
# Components: koe_runtime (the shared library), koe_development (all that building against it needs), python (koe._core).
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(koe_targets koe)
if(TARGET koe_static)
  list(APPEND koe_targets koe_static)
endif()
install(TARGETS ${koe_targets} EXPORT koe-targets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT koe_runtime
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT koe_runtime NAMELINK_COMPONENT koe_development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT koe_development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/cpp/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT koe_development)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/koe)
install(EXPORT koe-targets NAMESPACE koe:: DESTINATION ${package} COMPONENT koe_development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/koe-config.cmake.in ${PROJECT_BINARY_DIR}/koe-config.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/koe-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/koe-config.cmake ${PROJECT_BINARY_DIR}/koe-config-version.cmake
  DESTINATION ${package} COMPONENT koe_development)

get_target_property(type koe TYPE)
set(KOE_PC_LIBS_PRIVATE "-lstdc++ -lm -pthread")
if(CMAKE_DL_LIBS)
  string(APPEND KOE_PC_LIBS_PRIVATE " -l${CMAKE_DL_LIBS}")
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "AppleClang")
  string(REPLACE "-lstdc++" "-lc++" KOE_PC_LIBS_PRIVATE "${KOE_PC_LIBS_PRIVATE}")
endif()
if(KOE_METAL)
  string(APPEND KOE_PC_LIBS_PRIVATE " -framework Foundation -framework Metal")
endif()
if(type STREQUAL "STATIC_LIBRARY")
  # There is no other koe that --static could mean.
  set(KOE_PC_LIBS "${KOE_PC_LIBS_PRIVATE}")
  set(KOE_PC_LIBS_PRIVATE "")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/koe.pc.in ${PROJECT_BINARY_DIR}/koe.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/koe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT koe_development)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/koe COMPONENT koe_development)
