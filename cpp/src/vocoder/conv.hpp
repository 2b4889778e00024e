// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"
#include "koe/bundle.hpp"
#include "vocoder/adain.hpp"
#include "vocoder/buffer.hpp"
#include "vocoder/minimal_filter.hpp"
#include "vocoder/threads.hpp"

namespace koe::vocoder {

/// What every layer needs to run: the kernels, the threads, and a staging buffer for each thread.
struct Machine {
  Machine(const kernels::Table& table_, std::size_t n_threads) : table(table_), pool(n_threads), scratch(pool.size()) {}

  const kernels::Table& table;
  ThreadPool pool;
  struct Scratch {
    Buffer<std::byte> staged;
    Buffer<float> row_scale;
    Buffer<float> panel;      // compact weights: a panel of them, expanded
    Buffer<float> points;     // minimal filtering: a block's inputs at the points
    Buffer<float> products;   // and one panel's products
  };
  std::vector<Scratch> scratch;
};

/// The product of this precision in this table.
const kernels::Product& product(const kernels::Table& table, kernels::Precision precision) noexcept;

/// Snake's parameters, one a channel, as the kernels want them.
struct Snake {
  Snake() = default;
  Snake(const Bundle& bundle, const std::string& name, std::size_t channels);
  Buffer<float> alpha_over_pi;
  Buffer<float> inverse_alpha;
};

/// What a convolution reads: rows, and what happens to them on the way in.
struct Source {
  Frames x;
  const Affine* affine = nullptr;  ///< null: as it is
  kernels::Activation activation = kernels::Activation::none;
  float slope = 0.0f;
  const Snake* snake = nullptr;
};

/// Where a convolution writes, and what it adds: out = (conv + bias + residual + accumulate) · gain.
struct Target {
  Frames out;
  const float* residual = nullptr;    ///< rows in step with `out`; may be `out.data`
  const float* accumulate = nullptr;  ///< likewise
  float gain = 1.0f;
  ChannelSums* sums = nullptr;        ///< filled with the sums of `out`
};

/// A 1-D convolution with packed weights.
class Conv {
 public:
  struct Shape {
    std::size_t dilation = 1;
    std::size_t stride = 1;
    std::size_t padding = 0;  ///< zeros on either side, after the activation
    bool minimal = false;     ///< take minimal filtering where there is one: fewer products, more memory for weights
    /// In float32, keep an 8-bit source's weights as they are and expand a panel each time it is used, to minimal filtering's
    /// points where there are some: a quarter of float32's memory, a thirteenth of the points' for 3 taps, for a little time.
    bool compact = false;
  };

  /// Reads `name`.weight [out, in, taps] and, if there is one, `name`.bias [out].
  Conv(const Bundle& bundle, const std::string& name, Machine& machine, kernels::Precision precision, Shape shape);

  /// The transposed convolution `name` ([in, out, 2·stride], padding stride/2) as a plain one with two taps: output row q
  /// holds the stride · out values whose polyphase index is q, for q = 0 … rows. What the padding cuts off are the first
  /// `stride / 2` rows of `out` channels in row 0 and the last in the last row.
  static Conv transposed(const Bundle& bundle, const std::string& name, Machine& machine,
                         kernels::Precision precision, std::size_t stride);

  std::size_t in_channels() const noexcept { return in_; }
  std::size_t out_channels() const noexcept { return out_; }
  std::size_t taps() const noexcept { return taps_; }
  std::size_t out_rows(std::size_t rows) const noexcept {
    return (rows + 2 * shape_.padding - (taps_ - 1) * shape_.dilation - 1) / shape_.stride + 1;
  }

  /// Rows in a block: what a thread stages and multiplies at a time, and what a block of ChannelSums covers.
  /// Whole tiles of a minimal filter at every dilation.
  static constexpr std::size_t kBlockRows = 240;
  static std::size_t n_blocks(std::size_t rows) noexcept { return (rows + kBlockRows - 1) / kBlockRows; }

  /// target.out has out_rows(source.x.rows) rows; strides hold whole vectors. Padding channels of `out` become zero.
  void run(Machine& machine, const Source& source, const Target& target) const;

 private:
  Conv(const kernels::Product& product, kernels::Precision precision, Shape shape, std::size_t out, std::size_t in,
       std::size_t taps);
  /// Fills rows [first, first + n / row) of [out, in, packed taps].
  using Read = std::function<void(std::size_t first, std::span<float> rows)>;
  /// `steps`, one a row or none at all: the rows' weights are integers times these, from a source that was 8-bit already.
  void pack(ThreadPool& pool, const Read& read, std::span<const float> steps, std::span<const float> bias);
  void pack_compact(ThreadPool& pool, std::span<const std::int8_t> weights, const Bundle::Quantization& quantized,
                    std::span<const float> bias);
  kernels::FilterWeightsArgs points_of(const Buffer<std::byte>& compact, std::size_t channel, std::size_t channels,
                                       float* out) const;
  void expand_to_points(Machine& machine);
  void pack_bias(std::span<const float> bias);
  template <class Value, std::size_t kValues, class Raw, class Convert, class Finish>
  void pack_lanes(const Raw* rows, std::size_t n_rows, std::size_t first, Convert convert, Finish finish);
  void pack_int8(const float* rows, std::size_t n_rows, std::size_t first, std::span<const float> steps);

  /// One block's rows, and the output channels of one task.
  struct Block {
    std::size_t first;
    std::size_t rows;
    std::size_t channel;
    std::size_t channels;
    float* sums;
  };
  /// Bytes of a staged row, and of one output channel's weights for one tap as the product reads them.
  std::size_t granule_bytes() const noexcept { return granules_ * 4; }
  bool compact() const noexcept { return expanded_scale_.data() != nullptr; }
  kernels::ConvArgs arguments(const Machine::Scratch& scratch, const Target& target, const Block& block) const;
  void stage(Machine::Scratch& scratch, const Source& source, const Affine& affine, const Block& block) const;
  void multiply(Machine::Scratch& scratch, const Target& target, const Block& block) const;
  void multiply_compact(const kernels::Table& table, Machine::Scratch& scratch, const Target& target, const Block& block) const;
  void multiply_minimal(const kernels::Table& table, Machine::Scratch& scratch, const Target& target,
                        const Block& block) const;
  void multiply_points(const kernels::Table& table, Machine::Scratch& scratch, const Block& panel, std::size_t tiles) const;

  const kernels::Product* product_;
  const MinimalFilter* filter_ = nullptr;
  kernels::Precision precision_;
  Shape shape_;
  std::size_t out_;
  std::size_t in_;
  std::size_t taps_;
  std::size_t packed_taps_;  // as pack_lanes places them: points instead of taps where a float source is filtered
  std::size_t padded_out_;
  std::size_t granules_;
  Buffer<std::byte> weights_;
  Buffer<float> expanded_scale_;  // compact: [padded_out_]
  Buffer<float> expanded_zero_;
  Buffer<float> bias_;
  Buffer<float> weight_scale_;
  Buffer<std::int32_t> weight_sum_;
};

/// Fills `sums` with those of x.
void sum_channels(Machine& machine, const Frames& x, ChannelSums& sums);

}  // namespace koe::vocoder
