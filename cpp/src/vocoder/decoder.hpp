// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "koe/bundle.hpp"
#include "vocoder/arena.hpp"
#include "vocoder/conv.hpp"

namespace koe::vocoder {

/// StyleTTS2's residual block AdainResBlk1d: (conv(act(adain(conv(pool(act(adain(x))))))) + shortcut(x)) / √2.
class AdainResidual {
 public:
  AdainResidual(const Bundle& bundle, const std::string& name, Machine& machine, std::size_t in_channels);

  std::size_t out_channels() const noexcept { return conv2_.out_channels(); }
  bool upsamples() const noexcept { return !pool_weight_.empty(); }

  /// out has as many rows as x, or twice as many. May write into x's own rows where it does not upsample. Takes
  /// scratch_floats(x.rows) from `scratch`.
  void run(Machine& machine, std::span<const float> style, const Frames& x, const Frames& out, Carver scratch);
  std::size_t scratch_floats(std::size_t rows) const noexcept;

 private:
  Frames upsampled(Machine& machine, const Frames& x, const Affine& affine, Carver& scratch);

  AdaIn norm1_;
  AdaIn norm2_;
  Conv conv1_;
  Conv conv2_;
  std::optional<Conv> shortcut_;
  std::vector<float> pool_weight_;  // [3][channels]
  std::vector<float> pool_bias_;
  ChannelSums sums_;
  Affine affine_;
};

/// The blocks between the acoustic model and the generator: asr, F0 and N at 40 frames a second to features at 80.
class Decoder {
 public:
  Decoder(const Bundle& bundle, Machine& machine);

  std::size_t in_channels() const noexcept { return in_channels_; }
  std::size_t out_channels() const noexcept { return decode_.back().out_channels(); }

  /// asr [in_channels, T] (channel-major), f0 and n [2T]; out has 2T rows. Takes scratch_floats(T) from `scratch`.
  void run(Machine& machine, std::span<const float> asr, std::span<const float> f0, std::span<const float> n,
           std::span<const float> style, const Frames& out, Carver scratch);
  std::size_t scratch_floats(std::size_t rows) const noexcept;

 private:
  struct Curve {
    Curve(const Bundle& bundle, const std::string& name);
    void run(std::span<const float> curve, float* out, std::size_t stride) const;
    std::vector<float> weight;
    float bias;
  };

  Curve f0_;
  Curve n_;
  Conv asr_residual_;
  std::size_t in_channels_;
  AdainResidual encode_;
  std::vector<AdainResidual> decode_;
};

}  // namespace koe::vocoder
