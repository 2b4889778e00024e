// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "koe/vocoder.hpp"

namespace koe::vocoder {

/// Who does a Vocoder's work. Arguments have been checked, calls come one at a time; shapes as in koe::Vocoder.
class Backend {
 public:
  using Floats = std::span<const float>;
  using Array = koe::Vocoder::Array;

  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  virtual std::size_t asr_channels() const noexcept = 0;
  virtual std::size_t style_size() const noexcept = 0;
  /// Channels that generator level 0 or 1 reads, or, for 2, the output convolution.
  virtual std::size_t level_channels(std::size_t level) const noexcept = 0;
  virtual std::size_t threads() const noexcept = 0;
  virtual const char* isa() const noexcept = 0;
  virtual const char* device() const noexcept = 0;
  virtual Precision precision() const noexcept = 0;

  virtual void synthesize(Floats asr, Floats f0, Floats n, Floats style, std::span<float> samples) = 0;
  virtual Array decode(Floats asr, Floats f0, Floats n, Floats style) = 0;
  virtual void source(Floats f0, std::span<float> signal) = 0;
  virtual Array source_spectrum(Floats signal) = 0;
  virtual Array generator_level(std::size_t level, const Array& x, const Array& har, Floats style) = 0;
  virtual Array spectrum(const Array& x) = 0;
  virtual void istft(const Array& spectrum, std::span<float> samples) = 0;
};

}  // namespace koe::vocoder
