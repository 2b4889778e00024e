// SPDX-License-Identifier: Apache-2.0
// What the AVX-512 tables share (F, BW, DQ, VL). Everything has internal linkage, as in avx2.inl.
#include <immintrin.h>

#include "kernels/kernels.hpp"
#include "kernels/compiler.inl"

namespace koe::kernels {
namespace {

struct V {
  using f32 = __m512;
  static constexpr std::size_t width = 16;
  static f32 load(const float* p) noexcept { return _mm512_load_ps(p); }
  static f32 load_int8(const std::int8_t* p) noexcept {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static void store(float* p, f32 x) noexcept { _mm512_store_ps(p, x); }
  static f32 set1(float x) noexcept { return _mm512_set1_ps(x); }
  static f32 fma(f32 a, f32 b, f32 c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  static f32 add(f32 a, f32 b) noexcept { return _mm512_add_ps(a, b); }
  static f32 sub(f32 a, f32 b) noexcept { return _mm512_sub_ps(a, b); }
  static f32 mul(f32 a, f32 b) noexcept { return _mm512_mul_ps(a, b); }
  static f32 max(f32 a, f32 b) noexcept { return _mm512_max_ps(a, b); }
  static f32 abs(f32 a) noexcept { return _mm512_abs_ps(a); }
  static f32 round(f32 a) noexcept { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static float reduce_max(f32 a) noexcept { return _mm512_reduce_max_ps(a); }
};

#include "kernels/conv.inl"
#include "kernels/elementwise.inl"
#include "kernels/minimal.inl"

struct F32 {
  static constexpr bool scaled = false;
  using sum = V::f32;
  using in = __m512;
  static in load(const char* p) noexcept { return _mm512_load_ps(p); }
  static in broadcast(const char* p) noexcept { return _mm512_set1_ps(*reinterpret_cast<const float*>(p)); }
  static V::f32 madd(V::f32 sum, in a, in b) noexcept { return _mm512_fmadd_ps(a, b, sum); }
};

}  // namespace
}  // namespace koe::kernels
