// SPDX-License-Identifier: Apache-2.0
// NEON with 8-bit dot products (SDOT, ARMv8.2): four multiplications a lane instead of one.
#include "kernels/neon.inl"

namespace koe::kernels {
namespace {

struct I8 : ByLane<I8> {
  static constexpr bool scaled = true;
  using sum = int32x4_t;
  using in = int8x16_t;
  static in load(const char* p) noexcept { return vld1q_s8(reinterpret_cast<const std::int8_t*>(p)); }
  static sum start(const std::int32_t*) noexcept { return vdupq_n_s32(0); }
  template <int kLane>
  static sum madd_lane(sum s, in weight, in row) noexcept {
    return vdotq_laneq_s32(s, weight, row, kLane);
  }
  static V::f32 to_float(sum s) noexcept { return vcvtq_f32_s32(s); }
};

constexpr Table kTable{
    .name = "neondot",
    .float32 = {5, 16, 0, stage<StoreF32>, conv<F32, 5, 4>},
    .bfloat16 = {},
    .int8 = {5, 16, 0, quantize<StoreI8>, conv<I8, 5, 4>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
    .fastest = Precision::int8,
};

}  // namespace

const Table* neondot() noexcept { return &kTable; }

}  // namespace koe::kernels
