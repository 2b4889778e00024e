// SPDX-License-Identifier: Apache-2.0
// What a Metal device is asked to do for one chunk, as data: the host encodes it, the tests' emulation runs it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "metal/arguments.hpp"

namespace koe::metal {

enum class Kernel : std::uint8_t {
  decoder_input,
  style_affine,
  statistics,
  fold,
  conv_half,
  conv_float,
  pool,
  source,
  stft,
  istft,
};
inline constexpr std::size_t kKernels = 10;

/// The kernel's name in the Metal sources.
const char* name_of(Kernel kernel) noexcept;

/// Device memory, one allocation each.
enum class Buffer : std::uint8_t {
  none,     ///< an argument that the kernel doesn't touch
  weights,
  // What the host writes.
  asr,
  f0,
  n,
  middle,
  style,
  // Work.
  adain,
  input,
  features,
  skip,
  hidden,
  pooled,
  decoded,
  signal,
  har,
  sum,
  state,
  mean0,
  mean1,
  spectrum,
  partials,
  sum_partials,
  affine,
  samples,
};
inline constexpr std::size_t kBuffers = 25;

/// A part of a buffer that a kernel sees as its argument. Exact: a kernel touches nothing beyond.
struct Region {
  Buffer buffer = Buffer::none;
  std::size_t offset = 0;  ///< bytes
  std::size_t bytes = 0;
};

struct Grid {
  std::uint32_t x = 1;
  std::uint32_t y = 1;
};

/// One kernel over a grid of threadgroups. Its arguments are buffer 0, `regions` are buffers 1 and on.
struct Dispatch {
  Kernel kernel = Kernel::fold;
  std::array<std::uint32_t, kConstants> constants{};  ///< the convolutions' function constants
  std::vector<std::byte> arguments = {};
  std::vector<Region> regions = {};
  Grid groups = {};
  std::uint32_t threads = 0;            ///< a threadgroup's
  std::uint32_t threadgroup_bytes = 0;  ///< a multiple of 16

  template <class Arguments>
  void set(const Arguments& a) {
    static_assert(std::is_trivially_copyable_v<Arguments>);
    arguments.resize(sizeof a);
    std::memcpy(arguments.data(), &a, sizeof a);
  }
};

constexpr bool has_constants(Kernel kernel) noexcept { return kernel == Kernel::conv_half || kernel == Kernel::conv_float; }

/// Dispatches in their order, each after the one before it has finished, and how large each buffer must be.
struct Plan {
  std::vector<Dispatch> dispatches;
  std::array<std::size_t, kBuffers> bytes{};

  void add(Dispatch dispatch) {
    for (const Region& region : dispatch.regions) {
      std::size_t& size = bytes[static_cast<std::size_t>(region.buffer)];
      size = std::max(size, region.offset + region.bytes);
    }
    dispatches.push_back(std::move(dispatch));
  }
};

}  // namespace koe::metal
