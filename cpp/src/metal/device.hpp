// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "metal/plan.hpp"

namespace koe::metal {

/// Values for a buffer before a plan runs.
struct Upload {
  Buffer buffer;
  std::span<const float> values;
};

/// Runs plans: the GPU, or the tests' emulation of one. One call at a time.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  virtual std::string name() const = 0;
  /// Writes the uploads, runs the plan, and reads `result` from the beginning of `from`. Throws koe::Error, with the
  /// kernel's name, if the device fails.
  virtual void run(const Plan& plan, std::span<const Upload> uploads, Buffer from, std::span<float> result) = 0;
};

/// The Apple GPU, with `weights` copied to it. Throws koe::Error where there is none or this build has no Metal.
std::unique_ptr<Device> open_device(std::span<const std::byte> weights);

/// The GPU's name; empty where there is none that koe could use. `reason`, if given, then gets why.
std::string device_name(std::string* reason = nullptr);

}  // namespace koe::metal
