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

// What products of bytes share, whichever instructions multiply them.
struct Int8 {
  static constexpr bool scaled = true;
#if defined(__GNUC__)
  // As lanes of 32 bits, as in avx512vnni.inl.
  using sum = std::int32_t __attribute__((vector_size(32)));
#else
  using sum = __m256i;
#endif
  using in = __m256i;
  static in load(const char* p) noexcept { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  static in broadcast(const char* p) noexcept { return _mm256_set1_epi32(*reinterpret_cast<const std::int32_t*>(p)); }
  static V::f32 to_float(sum s) noexcept { return _mm256_cvtepi32_ps((__m256i)s); }
};

// bfloat16 without instructions for it: a granule is two float32 that lack their lower halves. Half of float32's memory, and
// no faster than its plain product.
struct StoreBf16 {
  static constexpr int terms = 3;
  static constexpr std::size_t bytes = 2;
  static void store(void* p, V::f32 x) noexcept {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i high = _mm256_srli_epi32(rounded, 16);
    _mm_store_si128(static_cast<__m128i*>(p), _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
  }
};

struct Bf16 {
  static constexpr bool scaled = false;
  using sum = V::f32;
  struct in {
    __m256 first;
    __m256 second;
  };
  static in split(__m256i granules) noexcept {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(granules, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(granules, _mm256_set1_epi32(static_cast<int>(0xffff0000u))))};
  }
  static in load(const char* p) noexcept { return split(_mm256_load_si256(reinterpret_cast<const __m256i*>(p))); }
  static in broadcast(const char* p) noexcept { return split(_mm256_set1_epi32(*reinterpret_cast<const std::int32_t*>(p))); }
  static V::f32 madd(V::f32 sum, in a, in b) noexcept {
    return _mm256_fmadd_ps(a.second, b.second, _mm256_fmadd_ps(a.first, b.first, sum));
  }
};

}  // namespace
}  // namespace koe::kernels
