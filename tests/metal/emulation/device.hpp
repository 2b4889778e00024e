// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "machine.hpp"
#include "metal/device.hpp"

namespace koe::emulation {

/// A koe::metal::Device that runs plans on a Machine. Memory that nobody wrote is NaN, and guard words follow each buffer.
class EmulatedDevice final : public metal::Device {
 public:
  EmulatedDevice(std::span<const std::byte> weights, std::uint64_t seed);

  std::string name() const override { return "emulation"; }
  void run(const metal::Plan& plan, std::span<const metal::Upload> uploads, metal::Buffer from,
           std::span<float> result) override;

  /// The beginning of a buffer as the last plan left it.
  void read(metal::Buffer from, std::span<float> result) const;

 private:
  Machine machine_;
  std::array<Allocation, metal::kBuffers> memory_;
};

}  // namespace koe::emulation
