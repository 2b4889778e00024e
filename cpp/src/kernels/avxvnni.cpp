// SPDX-License-Identifier: Apache-2.0
// AVX2 with 8-bit dot products (AVX-VNNI: laptops since Alder Lake, Zen 5), which multiply unsigned inputs with signed
// weights: a staged 0 is 128, and a tap's sum starts at −128 · Σ weights. 6 rows × 16 channels as in float32.
#include "kernels/avx2.inl"

namespace koe::kernels {
namespace {

struct StoreU8 {
  static void store(std::uint8_t* p, V::f32 x) noexcept {
    const __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(128));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
};

struct U8 : Int8 {
  static sum start(const std::int32_t* zero_sum) noexcept {
    const __m256i zero = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(zero_sum));
    return (sum)_mm256_sub_epi32(_mm256_setzero_si256(), zero);
  }
  static sum madd(sum s, in a, in b) noexcept {
#if defined(KOE_AVXVNNI_EVEX)
    // The same instruction in AVX-512's encoding, for the tests of processors that have no other.
    return (sum)_mm256_dpbusd_epi32((__m256i)s, a, b);
#else
    return (sum)_mm256_dpbusd_avx_epi32((__m256i)s, a, b);
#endif
  }
};

constexpr Table kTable{
    .name = "avxvnni",
    .float32 = {6, 16, 0, stage<StoreF32>, conv<F32, 6, 2>},
    .bfloat16 = {4, 16, 0, stage<StoreBf16>, conv<Bf16, 4, 2>},
    .int8 = {6, 16, 128, quantize<StoreU8>, conv<U8, 6, 2>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
    .fastest = Precision::int8,
};

}  // namespace

const Table* avxvnni() noexcept { return &kTable; }

}  // namespace koe::kernels
