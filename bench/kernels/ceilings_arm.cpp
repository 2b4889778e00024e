// SPDX-License-Identifier: Apache-2.0
// Twelve chains of one instruction each; the empty assembly keeps the compiler from folding rounds together.
#include "ceilings.hpp"

#include <arm_neon.h>

namespace koe::bench {
namespace {

constexpr int kChains = 12;

std::uint64_t fmla(std::uint64_t rounds) noexcept {
  float32x4_t sums[kChains];
  for (float32x4_t& sum : sums) sum = vdupq_n_f32(0.0f);
  const float32x4_t x = vdupq_n_f32(0.5f);
  for (std::uint64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) {
      sums[k] = vfmaq_f32(sums[k], x, x);
      __asm__ volatile("" : "+w"(sums[k]));
    }
  }
  return rounds * kChains * 4 * 2;
}

std::uint64_t sdot(std::uint64_t rounds) noexcept {
  int32x4_t sums[kChains];
  for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
  const int8x16_t x = vdupq_n_s8(1);
  for (std::uint64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) {
      sums[k] = vdotq_s32(sums[k], x, x);
      __asm__ volatile("" : "+w"(sums[k]));
    }
  }
  return rounds * kChains * 16 * 2;
}

std::uint64_t smmla(std::uint64_t rounds) noexcept {
  int32x4_t sums[kChains];
  for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
  const int8x16_t x = vdupq_n_s8(1);
  for (std::uint64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) {
      sums[k] = vmmlaq_s32(sums[k], x, x);
      __asm__ volatile("" : "+w"(sums[k]));
    }
  }
  return rounds * kChains * 32 * 2;
}

std::uint64_t bfmmla(std::uint64_t rounds) noexcept {
  float32x4_t sums[kChains];
  for (float32x4_t& sum : sums) sum = vdupq_n_f32(0.0f);
  const bfloat16x8_t x = vreinterpretq_bf16_u16(vdupq_n_u16(0x3f00));
  for (std::uint64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) {
      sums[k] = vbfmmlaq_f32(sums[k], x, x);
      __asm__ volatile("" : "+w"(sums[k]));
    }
  }
  return rounds * kChains * 16 * 2;
}

using kernels::Precision;

constexpr Ceiling kCeilings[] = {
    {"fmla", "neon", Precision::float32, fmla},
    {"sdot", "neondot", Precision::int8, sdot},
    {"smmla", "neonbf16", Precision::int8, smmla},
    {"bfmmla", "neonbf16", Precision::bfloat16, bfmmla},
};

}  // namespace

std::span<const Ceiling> ceilings() noexcept { return kCeilings; }

}  // namespace koe::bench
