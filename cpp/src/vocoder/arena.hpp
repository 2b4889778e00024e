// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "vocoder/buffer.hpp"

namespace koe::vocoder {

/// Hands out a region's floats one after the other. Copies start where the original stands, so what a callee takes from its
/// copy is free again when it returns.
class Carver {
 public:
  Carver(float* begin, std::size_t floats) : next_(begin), left_(floats) {}

  /// Whole rows, `channels` rounded up to `step` floats apart. Contents are undefined.
  Frames take(std::size_t rows, std::size_t channels, std::size_t step = kRowStep) {
    const std::size_t stride = round_up(channels, step);
    if (rows * stride > left_) throw std::logic_error("a region of the arena is too small");
    float* const begin = next_;
    next_ += rows * stride;
    left_ -= rows * stride;
    return {begin, rows, channels, stride};
  }

 private:
  float* next_;
  std::size_t left_;
};

/// The rows of a chunk's layers: four regions of one allocation, sized once for a chunk and reused by the next. A region has
/// a head, from its first float on, and a tail, up to its last.
///
///             | source, decoder             | level 0               | level 1                  | output
///   x         | the decoder's working rows  | noise, then with up   | noise, then with up      | spectrum
///   state     |               har (tail)    | state      har (tail) | har (tail), then state   |
///   hidden    | the source's samples        | hidden                | hidden                   |
///   mean      |               output (tail) | mean    output (tail) | level 0's mean, then its own → output
class Arena {
 public:
  enum class Region : std::uint8_t { x, state, hidden, mean };

  /// Room for `floats` in each region from now on; contents are gone when it grows.
  void reserve(std::size_t floats) {
    floats = round_up(floats, kRowStep);
    if (floats <= floats_) return;
    floats_ = 0;
    buffer_.reserve(kRegions * floats);
    floats_ = floats;
  }
  Carver head(Region region) noexcept { return {begin(region), floats_}; }
  /// The region's last floats, as many as these rows need.
  Frames tail(Region region, std::size_t rows, std::size_t channels, std::size_t step = kRowStep) {
    const std::size_t floats = rows * round_up(channels, step);
    if (floats > floats_) throw std::logic_error("a region of the arena is too small");
    return Carver(begin(region) + (floats_ - floats), floats).take(rows, channels, step);
  }

 private:
  static constexpr std::size_t kRegions = 4;
  float* begin(Region region) noexcept { return buffer_.data() + static_cast<std::size_t>(region) * floats_; }

  Buffer<float> buffer_;
  std::size_t floats_ = 0;
};

}  // namespace koe::vocoder
