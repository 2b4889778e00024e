// SPDX-License-Identifier: Apache-2.0
// NEON with matrix products (BFMMLA and SMMLA, ARMv8.6): an instruction multiplies two rows by two output channels over two
// granules, twice the work of a dot product. A row's two granules lie side by side as they must; the weights' lie a vector
// apart, and one zip of two vectors brings a channel's together. 10 rows × 8 channels are 20 sums of 2 × 2, so that a zip
// serves five products and no sum leaves its register.
#include "kernels/neon.inl"

namespace koe::kernels {
namespace {

struct StoreBf16 {
  static constexpr int terms = 3;
  static constexpr std::size_t bytes = 2;
  static void store(void* p, V::f32 x) noexcept {
    vst1_u16(static_cast<std::uint16_t*>(p), vreinterpret_u16_bf16(vcvt_bf16_f32(x)));
  }
};

inline float32x4_t low_halves(float32x4_t a, float32x4_t b) noexcept {
  return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
inline float32x4_t high_halves(float32x4_t a, float32x4_t b) noexcept {
  return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
inline int32x4_t low_halves(int32x4_t a, int32x4_t b) noexcept {
  return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}
inline int32x4_t high_halves(int32x4_t a, int32x4_t b) noexcept {
  return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

// Sums of two rows × four channels change between two rows of four and two blocks of 2 × 2: the same exchange either way.
template <int kRows, int kVectors, class Sum>
KOE_INLINE void exchange(Sum (&sum)[kRows][kVectors]) noexcept {
  KOE_UNROLL
  for (int r = 0; r < kRows; r += 2) {
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Sum a = sum[r][v];
      const Sum b = sum[r + 1][v];
      sum[r][v] = low_halves(a, b);
      sum[r + 1][v] = high_halves(a, b);
    }
  }
}

template <class Op>
struct ByPair {
  template <int kRows, int kVectors, class Sum>
  static KOE_INLINE void tile(const char* x, std::size_t step, const char* w, std::size_t granules,
                              Sum (&sum)[kRows][kVectors]) noexcept {
    static_assert(kRows % 2 == 0);
    exchange(sum);
    for (std::size_t g = 0; g < granules; g += 2, x += 8, w += kVectors * 32) {
      typename Op::in weight[kVectors][2];
      KOE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const int32x4_t even = vld1q_s32(reinterpret_cast<const std::int32_t*>(w + static_cast<std::size_t>(v) * 16));
        const int32x4_t odd = vld1q_s32(reinterpret_cast<const std::int32_t*>(w + static_cast<std::size_t>(kVectors + v) * 16));
        weight[v][0] = Op::from_bits(vzip1q_s32(even, odd));
        weight[v][1] = Op::from_bits(vzip2q_s32(even, odd));
      }
      KOE_UNROLL
      for (int r = 0; r < kRows; r += 2) {
        const char* first = x + static_cast<std::size_t>(r) * step;
        const int64x2_t pair = vcombine_s64(vld1_s64(reinterpret_cast<const std::int64_t*>(first)),
                                            vld1_s64(reinterpret_cast<const std::int64_t*>(first + step)));
        const typename Op::in rows = Op::from_bits(vreinterpretq_s32_s64(pair));
        KOE_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = Op::madd(sum[r][v], rows, weight[v][0]);
          sum[r + 1][v] = Op::madd(sum[r + 1][v], rows, weight[v][1]);
        }
      }
    }
    exchange(sum);
  }
};

struct Bf16 : ByPair<Bf16> {
  static constexpr bool scaled = false;
  using sum = V::f32;
  using in = bfloat16x8_t;
  static in from_bits(int32x4_t x) noexcept { return vreinterpretq_bf16_s32(x); }
  static sum madd(sum s, in rows, in weight) noexcept { return vbfmmlaq_f32(s, rows, weight); }
};

struct I8 : ByPair<I8> {
  static constexpr bool scaled = true;
  using sum = int32x4_t;
  using in = int8x16_t;
  static in from_bits(int32x4_t x) noexcept { return vreinterpretq_s8_s32(x); }
  static sum start(const std::int32_t*) noexcept { return vdupq_n_s32(0); }
  static sum madd(sum s, in rows, in weight) noexcept { return vmmlaq_s32(s, rows, weight); }
  static V::f32 to_float(sum s) noexcept { return vcvtq_f32_s32(s); }
};

constexpr Table kTable{
    .name = "neonbf16",
    .float32 = {5, 16, 0, stage<StoreF32>, conv<F32, 5, 4>},
    .bfloat16 = {10, 8, 0, stage<StoreBf16>, conv<Bf16, 10, 2>},
    .int8 = {10, 8, 0, quantize<StoreI8>, conv<I8, 10, 2>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
    .fastest = Precision::bfloat16,
};

}  // namespace

const Table* neonbf16() noexcept { return &kTable; }

}  // namespace koe::kernels
