// SPDX-License-Identifier: Apache-2.0
// The kernels' language as C++ for OpenCL, whose address spaces are Metal's: device is global, threadgroup is local, and
// without the generic address space a pointer of the wrong one is an error. Nothing here runs: functions are declared.
#pragma once

#pragma OPENCL EXTENSION cl_khr_fp16 : enable

template <class T>
using device_ptr = __global T*;
template <class T>
using threadgroup_ptr = __local T*;

inline threadgroup_ptr<half> half_view(threadgroup_ptr<float> p) { return reinterpret_cast<threadgroup_ptr<half>>(p); }
inline uint mulhi(uint a, uint b) { return mul_hi(a, b); }

enum class mem_flags { mem_none, mem_device, mem_threadgroup };
void threadgroup_barrier(mem_flags flags);
void simdgroup_barrier(mem_flags flags);

// clang 14 cannot copy a struct without the generic address space, so a filled matrix is its value until it is assigned.
template <class T, int kColumns, int kRows>
struct simdgroup_matrix {
  void operator=(T value) __private;
  T elements[2];
};
template <class T, int kColumns, int kRows>
T make_filled_simdgroup_matrix(T value);
template <class T>
void simdgroup_load(__private simdgroup_matrix<T, 8, 8>& m, const __global T* from, ulong elements_per_row);
template <class T>
void simdgroup_load(__private simdgroup_matrix<T, 8, 8>& m, const __local T* from, ulong elements_per_row);
template <class T>
void simdgroup_store(const __private simdgroup_matrix<T, 8, 8>& m, __local T* to, ulong elements_per_row);
template <class A, class D>
void simdgroup_multiply_accumulate(__private simdgroup_matrix<D, 8, 8>& d, const __private simdgroup_matrix<A, 8, 8>& a,
                                   const __private simdgroup_matrix<A, 8, 8>& b, const __private simdgroup_matrix<D, 8, 8>& c);

// A kernel's parameters may be references to constant memory in Metal, but not in OpenCL, so kernels are functions here.
#define kernel inline
#define thread __private
#define KOE_FUNCTION_CONSTANT(type, name, index) constant type name = type((index) + 1)
#define KOE_POSITIONS uint3 group, uint thread_index, uint simd_index, uint lane
#define KOE_UNROLL
