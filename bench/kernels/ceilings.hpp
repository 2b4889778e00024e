// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.hpp"

namespace koe::bench {

/// The fastest that one instruction can go: independent chains of it in registers, nothing loaded or stored.
struct Ceiling {
  const char* instruction;
  const char* table;                             ///< the first kernel table that may use it
  kernels::Precision precision;
  std::uint64_t (*run)(std::uint64_t) noexcept;  ///< so many rounds; returns multiplications plus additions
};

/// All that this build knows. One whose table the machine lacks must not be run.
std::span<const Ceiling> ceilings() noexcept;

}  // namespace koe::bench
