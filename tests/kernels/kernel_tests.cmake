# SPDX-License-Identifier: Apache-2.0
# The program itself, for every project that has a target `koe` with the kernels in it.
set(KOE_KERNEL_TESTS ${CMAKE_CURRENT_LIST_DIR})

function(koe_add_kernel_tests)
  add_executable(kernel_tests)
  target_sources(kernel_tests PRIVATE
    ${KOE_KERNEL_TESTS}/conv.cpp ${KOE_KERNEL_TESTS}/filter.cpp ${KOE_KERNEL_TESTS}/main.cpp ${KOE_KERNEL_TESTS}/memory.cpp ${KOE_KERNEL_TESTS}/rows.cpp)
  target_compile_features(kernel_tests PRIVATE cxx_std_20)
  target_compile_options(kernel_tests PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
  target_include_directories(kernel_tests PRIVATE ${KOE_CPP}/src ${KOE_KERNEL_TESTS})
  target_link_libraries(kernel_tests PRIVATE koe)
  get_target_property(definitions koe COMPILE_DEFINITIONS)
  # Kernels for instructions that this machine may lack, by way of others.
  if("KOE_KERNELS_X86" IN_LIST definitions)
    koe_add_substitute(avxvnni_evex KOE_AVXVNNI_EVEX -mavx2 -mfma -mavx512vnni -mavx512vl)
  endif()
  if("KOE_KERNELS_AMX" IN_LIST definitions)
    koe_add_substitute(amx_emulated KOE_AMX_EMULATED
      -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 -mfma -Wno-maybe-uninitialized)
  endif()
endfunction()

function(koe_add_substitute name definition)
  target_sources(kernel_tests PRIVATE ${KOE_KERNEL_TESTS}/${name}.cpp)
  target_compile_definitions(kernel_tests PRIVATE ${definition})
  set_source_files_properties(${KOE_KERNEL_TESTS}/${name}.cpp TARGET_DIRECTORY kernel_tests PROPERTIES
    COMPILE_OPTIONS "${ARGN}")
endfunction()
