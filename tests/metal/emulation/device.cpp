// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <algorithm>
#include <cstring>

#include "kernels.hpp"

namespace koe::emulation {
namespace {

constexpr std::size_t kGuardBytes = 64;
constexpr std::size_t kMaxArgumentBytes = 4096;  // what setBytes takes
constexpr std::byte kPoison{0xff};

}  // namespace

EmulatedDevice::EmulatedDevice(std::span<const std::byte> weights, std::uint64_t seed) : machine_(seed) {
  Allocation& memory = memory_[static_cast<std::size_t>(metal::Buffer::weights)];
  memory.bytes.assign(weights.begin(), weights.end());
}

void EmulatedDevice::run(const metal::Plan& plan, std::span<const metal::Upload> uploads, metal::Buffer from,
                         std::span<float> result) {
  std::array<std::size_t, metal::kBuffers> sizes = plan.bytes;
  const auto grow = [&](metal::Buffer buffer, std::size_t bytes) {
    std::size_t& size = sizes[static_cast<std::size_t>(buffer)];
    size = std::max(size, bytes);
  };
  for (const metal::Upload& upload : uploads) grow(upload.buffer, upload.values.size_bytes());
  grow(from, result.size_bytes());
  for (std::size_t b = 0; b < memory_.size(); ++b) {
    if (b == static_cast<std::size_t>(metal::Buffer::weights)) continue;
    memory_[b].bytes.assign(sizes[b] + kGuardBytes, kPoison);
    memory_[b].words.clear();
  }
  for (const metal::Upload& upload : uploads) {
    std::memcpy(memory_[static_cast<std::size_t>(upload.buffer)].bytes.data(), upload.values.data(), upload.values.size_bytes());
  }
  for (const metal::Dispatch& dispatch : plan.dispatches) {
    Launch launch{.kernel = metal::name_of(dispatch.kernel),
                  .constants = {dispatch.constants.begin(), dispatch.constants.end()},
                  .arguments = dispatch.arguments.data(),
                  .argument_bytes = dispatch.arguments.size(),
                  .bindings = {},
                  .groups_x = dispatch.groups.x,
                  .groups_y = dispatch.groups.y,
                  .threads = dispatch.threads,
                  .threadgroup_bytes = dispatch.threadgroup_bytes};
    if (launch.argument_bytes > kMaxArgumentBytes) throw Fault("kernel " + launch.kernel + ": more than 4 KB of arguments");
    if (!metal::has_constants(dispatch.kernel)) launch.constants.clear();
    for (const metal::Region& region : dispatch.regions) {
      launch.bindings.push_back({.allocation = &memory_[static_cast<std::size_t>(region.buffer)],
                                 .offset = region.offset,
                                 .bytes = region.bytes});
    }
    run_kernel(machine_, launch);
  }
  for (std::size_t b = 0; b < memory_.size(); ++b) {
    if (b == static_cast<std::size_t>(metal::Buffer::weights)) continue;
    const auto guard = std::span(memory_[b].bytes).subspan(sizes[b]);
    if (std::ranges::any_of(guard, [](std::byte x) { return x != kPoison; })) {
      throw Fault("guard words after buffer " + std::to_string(b) + " were written");
    }
  }
  read(from, result);
}

void EmulatedDevice::read(metal::Buffer from, std::span<float> result) const {
  const Allocation& memory = memory_[static_cast<std::size_t>(from)];
  if (result.size_bytes() > memory.bytes.size()) throw Fault("reads more than the buffer holds");
  std::memcpy(result.data(), memory.bytes.data(), result.size_bytes());
}

}  // namespace koe::emulation
