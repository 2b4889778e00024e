// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "koe/bundle.hpp"
#include "vocoder/arena.hpp"
#include "vocoder/conv.hpp"

namespace koe::vocoder {

/// HiFi-GAN's residual block with AdaIN and Snake (StyleTTS2's AdaINResBlock1): three times, with dilation 1, 3 and 5,
/// x += conv(snake(adain(conv(snake(adain(x)), dilation)))).
class SnakeResidual {
 public:
  /// What the block's passes share.
  struct Workspace {
    ChannelSums sums;
    Affine affine;
  };

  SnakeResidual(const Bundle& bundle, const std::string& name, Machine& machine, kernels::Precision precision,
                std::size_t channels);

  /// `state` becomes the block's output; `x` is its input (may be `state`), `x_sums` its sums; `hidden` is overwritten. With
  /// a `mean` target, the last pass writes there instead: out = (block + accumulate) · gain.
  void run(Machine& machine, std::span<const float> style, const Frames& x, const ChannelSums& x_sums, const Frames& state,
           const Frames& hidden, Workspace& workspace, const Target* mean = nullptr) const;

 private:
  struct Pass {
    AdaIn norm1;
    Snake snake1;
    Conv conv1;
    AdaIn norm2;
    Snake snake2;
    Conv conv2;
  };
  std::vector<Pass> passes_;
};

/// iSTFTNet's generator (Kaneko 2022) as Kokoro has it: two upsampling levels, each fed by the harmonic source, down to
/// magnitudes and phases every 5 samples.
class Generator {
 public:
  static constexpr std::size_t kLevels = 2;
  static constexpr std::array<std::size_t, kLevels> kRates{10, 6};

  Generator(const Bundle& bundle, Machine& machine, kernels::Precision precision);

  std::size_t in_channels(std::size_t level) const noexcept { return levels_[level].up.in_channels(); }
  std::size_t out_channels(std::size_t level) const noexcept { return levels_[level].channels; }
  std::size_t out_rows(std::size_t level, std::size_t rows) const noexcept {
    return rows * kRates[level] + (level + 1 == kLevels ? 1 : 0);
  }

  /// One level: x (its input before the LeakyReLU) and har (22 channels, 120 T + 1 rows) to the mean of its three residual
  /// blocks, in the head of the arena's mean. x may be there too, or in its tail, and har in the tail of the arena's state.
  Frames run_level(Machine& machine, std::size_t level, const Frames& x, const Frames& har, std::span<const float> style,
                   Arena& arena);
  /// What run_level wants of each region for a level input of this many rows.
  std::size_t region_floats(std::size_t level, std::size_t rows) const noexcept;

  /// The output convolution: log-magnitudes 0–10 and phases before their sine 11–21, in the head of the arena's x.
  Frames run_output(Machine& machine, const Frames& x, Arena& arena);

 private:
  struct Level {
    std::size_t channels;
    Conv up;
    Conv noise;
    SnakeResidual noise_residual;
    std::vector<SnakeResidual> residuals;
  };

  std::vector<Level> levels_;
  Conv output_;
  SnakeResidual::Workspace workspace_;
  ChannelSums sums_;
};

}  // namespace koe::vocoder
