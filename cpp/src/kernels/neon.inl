// SPDX-License-Identifier: Apache-2.0
// What the NEON tables share. Everything has internal linkage, as in avx2.inl.
#include <arm_neon.h>

#include "kernels/kernels.hpp"
#include "kernels/compiler.inl"

namespace koe::kernels {
namespace {

struct V {
  using f32 = float32x4_t;
  static constexpr std::size_t width = 4;
  static f32 load(const float* p) noexcept { return vld1q_f32(p); }
  static f32 load_int8(const std::int8_t* p) noexcept {
    const int8x8_t bytes = vreinterpret_s8_s32(vld1_dup_s32(reinterpret_cast<const std::int32_t*>(p)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
  }
  static void store(float* p, f32 x) noexcept { vst1q_f32(p, x); }
  static f32 set1(float x) noexcept { return vdupq_n_f32(x); }
  static f32 fma(f32 a, f32 b, f32 c) noexcept { return vfmaq_f32(c, a, b); }
  static f32 add(f32 a, f32 b) noexcept { return vaddq_f32(a, b); }
  static f32 sub(f32 a, f32 b) noexcept { return vsubq_f32(a, b); }
  static f32 mul(f32 a, f32 b) noexcept { return vmulq_f32(a, b); }
  static f32 max(f32 a, f32 b) noexcept { return vmaxq_f32(a, b); }
  static f32 abs(f32 a) noexcept { return vabsq_f32(a); }
  static f32 round(f32 a) noexcept { return vrndnq_f32(a); }
  static float reduce_max(f32 a) noexcept { return vmaxvq_f32(a); }
};

#include "kernels/conv.inl"
#include "kernels/elementwise.inl"
#include "kernels/minimal.inl"

// Products by lanes: a vector holds four granules of one row, and each multiplies by one of its lanes, so that a row costs
// one load for four steps instead of a broadcast for each.
template <class Op, int kRows, int kVectors, int kLane>
KOE_INLINE void multiply_lane(const typename Op::in (&row)[kRows], const char* w, typename Op::sum (&sum)[kRows][kVectors]) noexcept {
  KOE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const typename Op::in weight = Op::load(w + static_cast<std::size_t>(kLane * kVectors + v) * 16);
    KOE_UNROLL
    for (int r = 0; r < kRows; ++r) sum[r][v] = Op::template madd_lane<kLane>(sum[r][v], weight, row[r]);
  }
}

template <class Op>
struct ByLane {
  template <int kRows, int kVectors, class Sum>
  static KOE_INLINE void tile(const char* x, std::size_t step, const char* w, std::size_t granules,
                              Sum (&sum)[kRows][kVectors]) noexcept {
    for (std::size_t g = 0; g < granules; g += 4, x += 16, w += kVectors * 64) {
      typename Op::in row[kRows];
      KOE_UNROLL
      for (int r = 0; r < kRows; ++r) row[r] = Op::load(x + static_cast<std::size_t>(r) * step);
      multiply_lane<Op, kRows, kVectors, 0>(row, w, sum);
      multiply_lane<Op, kRows, kVectors, 1>(row, w, sum);
      multiply_lane<Op, kRows, kVectors, 2>(row, w, sum);
      multiply_lane<Op, kRows, kVectors, 3>(row, w, sum);
    }
  }
};

struct F32 : ByLane<F32> {
  static constexpr bool scaled = false;
  using sum = V::f32;
  using in = float32x4_t;
  static in load(const char* p) noexcept { return vld1q_f32(reinterpret_cast<const float*>(p)); }
  template <int kLane>
  static sum madd_lane(sum s, in weight, in row) noexcept {
    return vfmaq_laneq_f32(s, weight, row, kLane);
  }
};

// 8-bit values stay signed, and a staged 0 is 0: a tap's sum starts at nothing.
struct StoreI8 {
  static void store(std::uint8_t* p, V::f32 x) noexcept {
    const int16x4_t q = vqmovn_s32(vcvtnq_s32_f32(x));
    const int8x8_t bytes = vqmovn_s16(vcombine_s16(q, q));
    vst1_lane_s32(reinterpret_cast<std::int32_t*>(p), vreinterpret_s32_s8(bytes), 0);
  }
};

}  // namespace
}  // namespace koe::kernels
