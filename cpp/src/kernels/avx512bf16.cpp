// SPDX-License-Identifier: Apache-2.0
// AVX-512 with bfloat16 dot products beside the 8-bit ones: on AMD's Zen 4 and 5 VDPBF16PS does twice the work of a float32
// FMA in its time.
#include "kernels/avx512.inl"
#include "kernels/avx512bf16.inl"
#include "kernels/avx512vnni.inl"

namespace koe::kernels {
namespace {

struct Bf16 {
  static constexpr bool scaled = false;
  using sum = V::f32;
  using in = __m512i;
  static in load(const char* p) noexcept { return _mm512_load_si512(p); }
  static in broadcast(const char* p) noexcept { return _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(p)); }
  static V::f32 madd(V::f32 sum, in a, in b) noexcept { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};

constexpr Table kTable{
    .name = "avx512bf16",
    .float32 = {6, 64, 0, stage<StoreF32>, conv<F32, 6, 4>},
    .bfloat16 = {6, 64, 0, stage<StoreBf16>, conv<Bf16, 6, 4>},
    .int8 = {6, 64, 128, quantize<StoreU8>, conv<U8, 6, 4>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
    .fastest = Precision::int8,
};

}  // namespace

const Table* avx512bf16() noexcept { return &kTable; }

}  // namespace koe::kernels
