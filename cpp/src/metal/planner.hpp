// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "metal/network.hpp"
#include "metal/plan.hpp"

namespace koe::metal {

/// Rows of floats in a buffer: a frame a row, `stride` floats from row to row.
struct Rows {
  Buffer buffer = Buffer::none;
  std::uint32_t rows = 0;
  std::uint32_t channels = 0;
  std::uint32_t stride = 0;
  std::uint32_t first_channel = 0;

  Region region() const noexcept;
  std::size_t floats() const noexcept { return std::size_t{rows} * stride; }
  /// The channels from `first` on, as rows of their own.
  Rows part(std::uint32_t first, std::uint32_t count) const noexcept;
};

/// Means and squared deviations of blocks of rows.
struct Statistics {
  Buffer buffer = Buffer::partials;
  std::uint32_t rows = 0;
  std::uint32_t block_rows = 0;
  std::uint32_t channels = 0;
};

/// How a convolution's input is changed on the way in.
struct Entry {
  bool is_affine = false;  ///< with what `fold` left in `Buffer::affine`
  std::uint32_t activation = kActivationNone;
  float slope = 0.0f;
  Region snake = {};
};

/// Where a convolution's output goes: out = (conv + bias + residual + accumulate) · gain.
struct Exit {
  Rows out;
  std::optional<Rows> residual = std::nullopt;
  std::uint32_t residual_shift = 0;
  std::optional<Rows> accumulate = std::nullopt;
  float gain = 1.0f;
  bool has_statistics = false;
  bool is_spectrum = false;
};

struct SourceOptions {
  std::uint32_t steps = 0;
  float amplitude = 0.0f;
  std::span<const float> weight;  ///< of each harmonic
  float bias = 0.0f;
  float voiced_deviation = 0.0f;
  float unvoiced_deviation = 0.0f;
  std::optional<std::uint64_t> seed;
};

/// Writes the vocoder's dispatches for a chunk of `frames` frames, stage by stage; the order of operations is that of the
/// CPU's decoder.cpp and generator.cpp.
class Planner {
 public:
  explicit Planner(const Network& network) : network_(network) {}

  Plan take() { return std::move(plan_); }

  /// Uploaded asr, f0, n and style to `Buffer::decoded`.
  Rows decoder(std::uint32_t frames);
  /// Uploaded f0 and middle (the steps' phases) to 300 samples a step in `Buffer::signal`.
  void source(const SourceOptions& options);
  /// `samples` of the signal to their spectrum in `Buffer::har`.
  Rows source_spectrum(std::uint32_t samples);
  /// The style's γ and β of every layer; before `decoder` and `level`.
  void style();
  Rows level(std::size_t level, const Rows& x, const Rows& har);
  /// Magnitudes and the sine of the phases in `Buffer::spectrum`.
  Rows output(const Rows& x);
  /// To 5 · (x.rows − 1) samples in `Buffer::samples`.
  void istft(const Rows& x);

  // What the above consist of.
  Statistics statistics(const Rows& x, Buffer into = Buffer::partials);
  void fold(const NormLayer& norm, const Statistics& statistics);
  Statistics conv(const ConvLayer& layer, const Rows& x, const Entry& entry, const Exit& exit);
  /// The transposed convolution, added to `sum`; with `is_padded`, one row later and row 0 a reflection of row 2.
  void up(const ConvLayer& layer, const Rows& x, float slope, const Rows& sum, bool is_padded);
  void pool(const AdainResidualLayers& block, const Rows& x, const Rows& out);

  static Rows har_rows(std::uint32_t samples);
  static Rows input_rows(std::uint32_t rows, std::uint32_t channels);
  static Rows spectrum_rows(std::uint32_t rows);

 private:
  void block(const AdainResidualLayers& layers, const Rows& x, const Rows& out);
  void residual(const SnakeResidualLayers& passes, const Rows& x, Statistics statistics, const Rows& state,
                const Exit* last = nullptr);

  const Network& network_;
  Plan plan_;
};

}  // namespace koe::metal
