// SPDX-License-Identifier: Apache-2.0
// Written as assembly, so that no compiler moves a chain into memory or folds rounds together. Twelve chains cover latency
// times throughput of every processor so far.
#include "ceilings.hpp"

#include <immintrin.h>

namespace koe::bench {
namespace {

constexpr int kChains = 12;

#define KOE_TARGET(isa) __attribute__((target(isa)))
#define KOE_STEP(op, r, k) op " %%" r "15, %%" r "15, %%" r #k "\n\t"
#define KOE_STEPS(op, r)                                                                                         \
  KOE_STEP(op, r, 0) KOE_STEP(op, r, 1) KOE_STEP(op, r, 2) KOE_STEP(op, r, 3) KOE_STEP(op, r, 4) KOE_STEP(op, r, 5) \
  KOE_STEP(op, r, 6) KOE_STEP(op, r, 7) KOE_STEP(op, r, 8) KOE_STEP(op, r, 9) KOE_STEP(op, r, 10) KOE_STEP(op, r, 11)

// All operands are zero, so that no value is ever slow. vzeroall also clears what lies above the first 128 bits.
#define KOE_ROUNDS(name, round, operations)                                                                        \
  std::uint64_t name(std::uint64_t rounds) noexcept {                                                              \
    __asm__ volatile("vzeroall" ::: KOE_CLOBBERED);                                                                \
    for (std::uint64_t i = 0; i < rounds; ++i) __asm__ volatile(round::: KOE_CLOBBERED);                           \
    __asm__ volatile("vzeroupper" ::: KOE_CLOBBERED);                                                              \
    return rounds * kChains * (operations);                                                                        \
  }
#define KOE_CHAINS(name, op, r, operations) KOE_ROUNDS(name, KOE_STEPS(op, r), operations)
#define KOE_CLOBBERED                                                                                              \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"

KOE_CHAINS(fma256, "vfmadd231ps", "ymm", 8 * 2)
KOE_CHAINS(fma512, "vfmadd231ps", "zmm", 16 * 2)
KOE_CHAINS(dpbusd256, "%{vex%} vpdpbusd", "ymm", 32 * 2)
KOE_CHAINS(dpbusd512, "vpdpbusd", "zmm", 64 * 2)
KOE_CHAINS(dpbf16, "vdpbf16ps", "zmm", 32 * 2)

// An 8-bit product out of AVX2's parts, which takes four instructions: a sign moved, pairs to 16 bits, to 32 bits, added.
#define KOE_PARTS(k)                                                                                              \
  "vpsignb %%ymm15, %%ymm15, %%ymm14\n\tvpmaddubsw %%ymm14, %%ymm15, %%ymm14\n\t"                                  \
  "vpmaddwd %%ymm15, %%ymm14, %%ymm14\n\tvpaddd %%ymm14, %%ymm" #k ", %%ymm" #k "\n\t"

KOE_ROUNDS(maddubs256,
           KOE_PARTS(0) KOE_PARTS(1) KOE_PARTS(2) KOE_PARTS(3) KOE_PARTS(4) KOE_PARTS(5) KOE_PARTS(6) KOE_PARTS(7) KOE_PARTS(8)
               KOE_PARTS(9) KOE_PARTS(10) KOE_PARTS(11),
           32 * 2)

#if defined(KOE_KERNELS_AMX)

struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

KOE_TARGET("amx-tile") void configure_tiles() noexcept {
  static const TileConfiguration configuration;
  _tile_loadconfig(&configuration);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

KOE_TARGET("amx-tile,amx-bf16") std::uint64_t tile_bf16(std::uint64_t rounds) noexcept {
  configure_tiles();
  for (std::uint64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return rounds * 4 * 16 * 16 * 32 * 2;
}

KOE_TARGET("amx-tile,amx-int8") std::uint64_t tile_int8(std::uint64_t rounds) noexcept {
  configure_tiles();
  for (std::uint64_t i = 0; i < rounds; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return rounds * 4 * 16 * 16 * 64 * 2;
}

#endif

using kernels::Precision;

constexpr Ceiling kCeilings[] = {
    {"vfmadd 256", "avx2", Precision::float32, fma256},
    {"vfmadd 256", "avx2", Precision::bfloat16, fma256},
    {"vpmaddubsw and three more 256", "avx2", Precision::int8, maddubs256},
    {"vpdpbusd 256", "avxvnni", Precision::int8, dpbusd256},
    {"vfmadd 512", "avx512", Precision::float32, fma512},
    {"vpdpbusd 512", "avx512vnni", Precision::int8, dpbusd512},
    {"vdpbf16ps 512", "avx512bf16", Precision::bfloat16, dpbf16},
#if defined(KOE_KERNELS_AMX)
    {"tdpbf16ps", "amx", Precision::bfloat16, tile_bf16},
    {"tdpbssd", "amx", Precision::int8, tile_int8},
#endif
};

}  // namespace

std::span<const Ceiling> ceilings() noexcept { return kCeilings; }

}  // namespace koe::bench
