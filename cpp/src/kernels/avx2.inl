// SPDX-License-Identifier: Apache-2.0
// What the AVX2 tables share. Everything has internal linkage: an inline function shared with portable code could carry
// AVX2 into it at link time.
#include <immintrin.h>

#include "kernels/kernels.hpp"
#include "kernels/compiler.inl"

namespace koe::kernels {
namespace {

struct V {
  using f32 = __m256;
  static constexpr std::size_t width = 8;
  static f32 load(const float* p) noexcept { return _mm256_load_ps(p); }
  static f32 load_int8(const std::int8_t* p) noexcept {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static void store(float* p, f32 x) noexcept { _mm256_store_ps(p, x); }
  static f32 set1(float x) noexcept { return _mm256_set1_ps(x); }
  static f32 fma(f32 a, f32 b, f32 c) noexcept { return _mm256_fmadd_ps(a, b, c); }
  static f32 add(f32 a, f32 b) noexcept { return _mm256_add_ps(a, b); }
  static f32 sub(f32 a, f32 b) noexcept { return _mm256_sub_ps(a, b); }
  static f32 mul(f32 a, f32 b) noexcept { return _mm256_mul_ps(a, b); }
  static f32 max(f32 a, f32 b) noexcept { return _mm256_max_ps(a, b); }
  static f32 abs(f32 a) noexcept { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static f32 round(f32 a) noexcept { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static float reduce_max(f32 a) noexcept {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
  }
};

#include "kernels/conv.inl"
#include "kernels/elementwise.inl"
#include "kernels/minimal.inl"

struct F32 {
  static constexpr bool scaled = false;
  using sum = V::f32;
  using in = __m256;
  static in load(const char* p) noexcept { return _mm256_load_ps(reinterpret_cast<const float*>(p)); }
  static in broadcast(const char* p) noexcept { return _mm256_broadcast_ss(reinterpret_cast<const float*>(p)); }
  static V::f32 madd(V::f32 sum, in a, in b) noexcept { return _mm256_fmadd_ps(a, b, sum); }
};

}  // namespace
}  // namespace koe::kernels
