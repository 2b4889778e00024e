// SPDX-License-Identifier: Apache-2.0
// One text for three compilers. Metal's own is what the kernels are for; as C++ they run in an emulation that checks every
// access (tests/metal/emulation); as C++ for OpenCL their address spaces are checked by a compiler that has them.
//
// Kernels name pointers device_ptr<T> and threadgroup_ptr<T>, function constants by KOE_FUNCTION_CONSTANT, and end their
// parameters with KOE_POSITIONS: group, thread_index, simd_index, lane. Everything else is plain Metal Shading Language.
#pragma once

#if defined(__METAL_VERSION__)

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

template <class T>
using device_ptr = device T*;
template <class T>
using threadgroup_ptr = threadgroup T*;

#define KOE_FUNCTION_CONSTANT(type, name, index) constant type name [[function_constant(index)]]
#define KOE_POSITIONS                              \
  uint3 group [[threadgroup_position_in_grid]],    \
      uint thread_index [[thread_index_in_threadgroup]], \
      uint simd_index [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]
#define KOE_UNROLL _Pragma("clang loop unroll(full)")

inline threadgroup_ptr<half> half_view(threadgroup_ptr<float> p) { return reinterpret_cast<threadgroup_ptr<half>>(p); }

#elif defined(__OPENCL_CPP_VERSION__)

#include "opencl.hpp"

#else

#include "emulation.hpp"

#endif
