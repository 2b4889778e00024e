// SPDX-License-Identifier: Apache-2.0
// One function a table entry: each throws Failure at the first case that is wrong, and returns how many cases it ran.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace koe::kernel_tests {

struct Run {
  const kernels::Table& table;
  const kernels::Table& scalar;
  std::uint64_t seed;
  std::size_t products;  ///< multiplications in the largest case, about; fewer rows keep a case below it
};

const kernels::Product& product(const kernels::Table& table, kernels::Precision precision) noexcept;

std::size_t test_conv(const Run& run, kernels::Precision precision);
std::size_t test_stage(const Run& run, kernels::Precision precision);
std::size_t test_expand(const Run& run);
std::size_t test_sums(const Run& run);
std::size_t test_filter_in(const Run& run);
std::size_t test_filter_weights(const Run& run);
std::size_t test_filter_out(const Run& run);

}  // namespace koe::kernel_tests
