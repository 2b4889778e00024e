// SPDX-License-Identifier: Apache-2.0
// What the kernel files ask of the compiler: loops over registers must disappear, and what keeps sums in registers must be
// inlined.
#if defined(__clang__)
#define KOE_UNROLL _Pragma("clang loop unroll(full)")
#define KOE_INLINE __attribute__((always_inline)) inline
#elif defined(__GNUC__)
#define KOE_UNROLL _Pragma("GCC unroll 16")
#define KOE_INLINE __attribute__((always_inline)) inline
#else
#define KOE_UNROLL
#define KOE_INLINE __forceinline
#endif
