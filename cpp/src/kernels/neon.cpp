// SPDX-License-Identifier: Apache-2.0
// NEON, float32: 5 rows × 16 channels in 20 of the 32 registers, beside 5 of rows and 4 of weights. Twenty sums cover the
// latency of an FMA on processors that start four of them a cycle.
#include "kernels/neon.inl"

namespace koe::kernels {
namespace {

constexpr Table kTable{
    .name = "neon",
    .float32 = {5, 16, 0, stage<StoreF32>, conv<F32, 5, 4>},
    .bfloat16 = {},
    .int8 = {},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
};

}  // namespace

const Table* neon() noexcept { return &kTable; }

}  // namespace koe::kernels
