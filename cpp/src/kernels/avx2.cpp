// SPDX-License-Identifier: Apache-2.0
// AVX2 + FMA. float32: 6 rows × 16 channels in twelve of the sixteen registers. The other precisions are here for their
// memory; with minimal filtering float32 is the fastest.
#include "kernels/avx2.inl"

namespace koe::kernels {
namespace {

struct StoreS8 {
  static void store(std::uint8_t* p, V::f32 x) noexcept {
    const __m256i q = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
};

// Products of unsigned and signed bytes are added in pairs to 16 bits: with the input's sign moved to the weight, and both
// within ±127, a pair is 2 · 127² at most and fits.
struct S8 : Int8 {
  static sum start(const std::int32_t*) noexcept { return (sum)_mm256_setzero_si256(); }
  static sum madd(sum s, in a, in b) noexcept {
    const __m256i words = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
    return (sum)_mm256_add_epi32((__m256i)s, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
  }
};

constexpr Table kTable{
    .name = "avx2",
    .float32 = {6, 16, 0, stage<StoreF32>, conv<F32, 6, 2>},
    .bfloat16 = {4, 16, 0, stage<StoreBf16>, conv<Bf16, 4, 2>},
    .int8 = {4, 16, 0, quantize<StoreS8>, conv<S8, 4, 2>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
};

}  // namespace

const Table* avx2() noexcept { return &kTable; }

}  // namespace koe::kernels
