// SPDX-License-Identifier: Apache-2.0
// AVX-512 with 8-bit dot products (VNNI): four multiplications a lane instead of one.
#include "kernels/avx512.inl"
#include "kernels/avx512vnni.inl"

namespace koe::kernels {
namespace {

constexpr Table kTable{
    .name = "avx512vnni",
    .float32 = {6, 64, 0, stage<StoreF32>, conv<F32, 6, 4>},
    .bfloat16 = {},
    .int8 = {6, 64, 128, quantize<StoreU8>, conv<U8, 6, 4>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
    .fastest = Precision::int8,
};

}  // namespace

const Table* avx512vnni() noexcept { return &kTable; }

}  // namespace koe::kernels
