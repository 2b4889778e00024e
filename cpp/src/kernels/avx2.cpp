// SPDX-License-Identifier: Apache-2.0
// AVX2 + FMA, float32: 6 rows × 16 channels in twelve of the sixteen registers.
#include "kernels/avx2.inl"

namespace koe::kernels {
namespace {

constexpr Table kTable{
    .name = "avx2",
    .float32 = {6, 16, 0, stage<StoreF32>, conv<F32, 6, 2>, expand<StoreF32>},
    .bfloat16 = {},
    .int8 = {},
    .sums = sums,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
};

}  // namespace

const Table* avx2() noexcept { return &kTable; }

}  // namespace koe::kernels
