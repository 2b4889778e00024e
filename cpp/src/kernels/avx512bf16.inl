// SPDX-License-Identifier: Apache-2.0
// bfloat16 staging of the AVX-512 tables whose processors convert in hardware.
namespace koe::kernels {
namespace {

struct StoreBf16 {
  static constexpr int terms = 3;
  static constexpr std::size_t bytes = 2;
  static void store(void* p, V::f32 x) noexcept {
    _mm256_store_si256(static_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(x));
  }
};

}  // namespace
}  // namespace koe::kernels
