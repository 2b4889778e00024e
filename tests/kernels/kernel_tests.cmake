# SPDX-License-Identifier: Apache-2.0
# The program itself, for every project that has a target `koe` with the kernels in it.
set(KOE_KERNEL_TESTS ${CMAKE_CURRENT_LIST_DIR})

function(koe_add_kernel_tests)
  add_executable(kernel_tests)
  target_sources(kernel_tests PRIVATE
    ${KOE_KERNEL_TESTS}/conv.cpp ${KOE_KERNEL_TESTS}/main.cpp ${KOE_KERNEL_TESTS}/memory.cpp ${KOE_KERNEL_TESTS}/rows.cpp)
  target_compile_features(kernel_tests PRIVATE cxx_std_20)
  target_compile_options(kernel_tests PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
  target_include_directories(kernel_tests PRIVATE ${KOE_CPP}/src)
  target_link_libraries(kernel_tests PRIVATE koe)
  get_target_property(definitions koe COMPILE_DEFINITIONS)
  if("KOE_KERNELS_X86" IN_LIST definitions)
    target_sources(kernel_tests PRIVATE ${KOE_KERNEL_TESTS}/avxvnni_evex.cpp)
    target_compile_definitions(kernel_tests PRIVATE KOE_AVXVNNI_EVEX)
    set_source_files_properties(${KOE_KERNEL_TESTS}/avxvnni_evex.cpp TARGET_DIRECTORY kernel_tests PROPERTIES
      COMPILE_OPTIONS "-mavx2;-mfma;-mavx512vnni;-mavx512vl")
  endif()
endfunction()
