// SPDX-License-Identifier: Apache-2.0
// AVX-512, float32: 6 rows × 64 channels in 24 of the 32 registers; few rows keep the broadcasts below the loads that a
// cycle has, and their addresses in general registers.
#include "kernels/avx512.inl"

namespace koe::kernels {
namespace {

constexpr Table kTable{
    .name = "avx512",
    .float32 = {6, 64, 0, stage<StoreF32>, conv<F32, 6, 4>},
    .bfloat16 = {},
    .int8 = {},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
};

}  // namespace

const Table* avx512() noexcept { return &kTable; }

}  // namespace koe::kernels
