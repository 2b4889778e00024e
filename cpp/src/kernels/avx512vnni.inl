// SPDX-License-Identifier: Apache-2.0
// The 8-bit product of the AVX-512 tables: VPDPBUSD multiplies unsigned inputs with signed weights, so a staged 0 is 128
// and a tap's sum starts at −128 · Σ weights.
namespace koe::kernels {
namespace {

struct StoreU8 {
  static void store(std::uint8_t* p, V::f32 x) noexcept {
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(128));
    _mm_store_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(q));
  }
};

struct U8 {
  static constexpr bool scaled = true;
#if defined(__GNUC__)
  // As lanes of 32 bits: in a loop GCC keeps each sum twice if it is declared as __m512i's lanes of 64.
  using sum = std::int32_t __attribute__((vector_size(64)));
#else
  using sum = __m512i;
#endif
  using in = __m512i;
  static in load(const char* p) noexcept { return _mm512_load_si512(p); }
  static in broadcast(const char* p) noexcept { return _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(p)); }
  static sum start(const std::int32_t* zero_sum) noexcept {
    return (sum)_mm512_sub_epi32(_mm512_setzero_si512(), _mm512_load_si512(zero_sum));
  }
  static sum madd(sum s, in a, in b) noexcept { return (sum)_mm512_dpbusd_epi32((__m512i)s, a, b); }
  static V::f32 to_float(sum s) noexcept { return _mm512_cvtepi32_ps((__m512i)s); }
};

}  // namespace
}  // namespace koe::kernels
