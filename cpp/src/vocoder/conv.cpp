// SPDX-License-Identifier: Apache-2.0
#include "vocoder/conv.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>

#include "koe/error.hpp"

namespace koe::vocoder {
namespace {

using kernels::Activation;
using kernels::Precision;

std::size_t values_in_granule(Precision precision) noexcept {
  return precision == Precision::float32 ? 1 : precision == Precision::bfloat16 ? 2 : 4;
}

std::uint16_t to_bfloat16(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// The nearest whole number, as an addition: it vectorises where lrint does not. |x| < 2²².
float nearest(float x) noexcept {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

// What most packing does at the end of a tap.
void nothing(std::size_t) noexcept {}

std::string describe(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

const Tensor& weight_tensor(const Bundle& bundle, const std::string& name) {
  const Tensor& tensor = bundle.tensor(name + ".weight");
  if (tensor.shape.size() != 3 || std::ranges::any_of(tensor.shape, [](std::int64_t n) { return n <= 0 || n > 1 << 16; })) {
    throw Error("bundle tensor '" + tensor.name + "' has shape " + describe(tensor.shape) + ", not a convolution's");
  }
  return tensor;
}

std::vector<float> bias_of(const Bundle& bundle, const std::string& name, std::size_t channels) {
  if (bundle.find(name + ".bias") == nullptr) return std::vector<float>(channels, 0.0f);
  std::vector<float> bias = bundle.dequantized(name + ".bias");
  if (bias.size() != channels) {
    throw Error("bundle tensor '" + name + ".bias' has " + std::to_string(bias.size()) + " values, not " +
                std::to_string(channels));
  }
  return bias;
}

}  // namespace

const kernels::Product& product(const kernels::Table& table, Precision precision) noexcept {
  switch (precision) {
    case Precision::bfloat16: return table.bfloat16;
    case Precision::int8: return table.int8;
    case Precision::float32: break;
  }
  return table.float32;
}

Snake::Snake(const Bundle& bundle, const std::string& name, std::size_t channels) {
  const std::vector<float> alpha = bundle.dequantized(name);
  if (alpha.size() != channels) {
    throw Error("bundle tensor '" + name + "' has " + std::to_string(alpha.size()) + " values, not " + std::to_string(channels));
  }
  const std::size_t padded = round_up(channels, kRowStep);
  float* over_pi = alpha_over_pi.reserve(padded);
  float* inverse = inverse_alpha.reserve(padded);
  std::fill(over_pi, over_pi + padded, 0.0f);
  std::fill(inverse, inverse + padded, 0.0f);
  for (std::size_t c = 0; c < channels; ++c) {
    over_pi[c] = static_cast<float>(static_cast<double>(alpha[c]) / std::numbers::pi);
    inverse[c] = 1.0f / alpha[c];
  }
}

Conv::Conv(const kernels::Product& product, Precision precision, Shape shape, std::size_t out, std::size_t in, std::size_t taps)
    : product_(&product),
      precision_(precision),
      shape_(shape),
      out_(out),
      in_(in),
      taps_(taps),
      packed_taps_(taps),
      padded_out_(round_up(out, kChannelStep)),
      granules_(round_up(in, kChannelStep * values_in_granule(precision)) / values_in_granule(precision)) {}

Conv::Conv(const Bundle& bundle, const std::string& name, Machine& machine, Precision precision, Shape shape)
    : Conv(vocoder::product(machine.table, precision), precision, shape,
           static_cast<std::size_t>(weight_tensor(bundle, name).shape[0]),
           static_cast<std::size_t>(weight_tensor(bundle, name).shape[1]),
           static_cast<std::size_t>(weight_tensor(bundle, name).shape[2])) {
  const Tensor& weight = weight_tensor(bundle, name);
  const std::vector<float> bias = bias_of(bundle, name, out_);
  Bundle::Quantization quantized;
  if (weight.type == DataType::kInt8) quantized = bundle.quantization(weight.name);
  const bool is_int8 = weight.type == DataType::kInt8;
  const bool compact = shape_.compact && is_int8 && precision == Precision::float32;
  if ((shape_.minimal || compact) && precision == Precision::float32 && machine.table.filter_in != nullptr &&
      shape_.stride == 1) {
    filter_ = MinimalFilter::find(taps_);
  }
  if (compact || (filter_ != nullptr && is_int8)) {
    pack_compact(machine.pool, {reinterpret_cast<const std::int8_t*>(weight.data.data()), weight.data.size()}, quantized, bias);
    if (!compact) expand_to_points(machine);
  } else if (filter_ == nullptr) {
    const auto read = [&](std::size_t first, std::span<float> rows) { bundle.dequantize_rows(weight.name, first, rows); };
    pack(machine.pool, read, quantized.scale, bias);
  } else {
    packed_taps_ = filter_->points();
    const auto read = [&](std::size_t first, std::span<float> rows) {
      std::vector<float> plain(rows.size() / packed_taps_ * taps_);
      bundle.dequantize_rows(weight.name, first, plain);
      for (std::size_t i = 0; i < plain.size() / taps_; ++i) {
        filter_->transform(plain.data() + i * taps_, rows.data() + i * packed_taps_);
      }
    };
    pack(machine.pool, read, quantized.scale, bias);
  }
}

Conv Conv::transposed(const Bundle& bundle, const std::string& name, Machine& machine, Precision precision,
                      std::size_t stride) {
  const Tensor& tensor = weight_tensor(bundle, name);
  const auto in = static_cast<std::size_t>(tensor.shape[0]);
  const auto out = static_cast<std::size_t>(tensor.shape[1]);
  if (tensor.shape[2] != static_cast<std::int64_t>(2 * stride) || stride % 2 != 0 || out % kChannelStep != 0) {
    throw Error("bundle tensor '" + tensor.name + "' has shape " + describe(tensor.shape) + ", not that of a stride of " +
                std::to_string(stride));
  }
  const std::vector<float> weight = bundle.dequantized(tensor.name);
  const std::vector<float> bias = bias_of(bundle, name, out);
  std::vector<float> biases(stride * out);
  for (std::size_t i = 0; i < biases.size(); ++i) biases[i] = bias[i % out];
  // y[s·q + r − s/2] = x[q] · W[r] + x[q − 1] · W[r + s]; as a convolution tap 0 reads row q − 1.
  const auto read = [&](std::size_t first, std::span<float> rows) {
    for (std::size_t n = 0; n < rows.size() / (2 * in); ++n) {
      const std::size_t r = (first + n) / out;
      const std::size_t o = (first + n) % out;
      for (std::size_t i = 0; i < in; ++i) {
        const float* w = weight.data() + (i * out + o) * 2 * stride;
        rows[(n * in + i) * 2] = w[r + stride];
        rows[(n * in + i) * 2 + 1] = w[r];
      }
    }
  };
  Conv conv(vocoder::product(machine.table, precision), precision, {.padding = 1}, stride * out, in, 2);
  conv.pack(machine.pool, read, {}, biases);
  return conv;
}

// Sixteen output channels at a time, of which n_rows are there: a granule of each makes one line of the packed weights, so
// lines are written whole and in order. convert(o, raw) is a packed value; finish(tap) ends a tap.
template <class Value, std::size_t kValues, class Raw, class Convert, class Finish>
void Conv::pack_lanes(const Raw* rows, std::size_t n_rows, std::size_t first, Convert convert, Finish finish) {
  constexpr std::size_t kGranule = kValues * sizeof(Value);
  const std::size_t row_size = in_ * packed_taps_;
  // A line lies in one panel, or in several where these are narrower than it.
  const std::size_t part = std::min(product_->tile_channels, kChannelStep);
  const auto place = [&](std::size_t channel, std::size_t line) {
    const std::size_t panel = channel / product_->tile_channels * product_->tile_channels;
    const std::size_t width = std::min(product_->tile_channels, padded_out_ - panel);
    return weights_.data() + (panel * packed_taps_ * granules_ + line * width + (channel - panel)) * kGranule;
  };
  for (std::size_t tap = 0; tap < packed_taps_; ++tap) {
    for (std::size_t g = 0; g < granules_; ++g) {
      alignas(64) Value line[kChannelStep * kValues] = {};
      for (std::size_t k = 0; k < kValues && g * kValues + k < in_; ++k) {
        const Raw* w = rows + (g * kValues + k) * packed_taps_ + tap;
        for (std::size_t o = 0; o < n_rows; ++o) line[o * kValues + k] = convert(o, w[o * row_size]);
      }
      for (std::size_t o = 0; o < kChannelStep; o += part) {
        std::memcpy(place(first + o, tap * granules_ + g), line + o * kValues, part * kGranule);
      }
    }
    finish(tap);
  }
}

void Conv::pack_int8(const float* rows, std::size_t n_rows, std::size_t first, std::span<const float> steps) {
  const std::size_t row_size = in_ * packed_taps_;
  float to_int[kChannelStep] = {};
  for (std::size_t o = 0; o < n_rows; ++o) {
    float peak = 1e-20f;
    for (std::size_t i = 0; i < row_size; ++i) peak = std::max(peak, std::abs(rows[o * row_size + i]));
    // A source's own integers are taken as they are where they fit.
    const float step = steps.empty() ? 0.0f : steps[first + o];
    const float scale = step > 0.0f && peak < 127.5f * step ? step : peak / 127.0f;
    weight_scale_.data()[first + o] = scale;
    to_int[o] = 1.0f / scale;
  }
  std::int32_t sums[kChannelStep] = {};
  const auto convert = [&](std::size_t o, float x) {
    const auto q = static_cast<std::int8_t>(nearest(x * to_int[o]));
    sums[o] += q;
    return q;
  };
  pack_lanes<std::int8_t, 4>(rows, n_rows, first, convert, [&](std::size_t tap) {
    std::int32_t* out = weight_sum_.data() + tap * padded_out_ + first;
    for (std::size_t o = 0; o < kChannelStep; ++o) out[o] = product_->zero * std::exchange(sums[o], 0);
  });
}

void Conv::pack_bias(std::span<const float> bias) {
  float* b = bias_.reserve(padded_out_);
  std::fill(std::copy(bias.begin(), bias.end(), b), b + padded_out_, 0.0f);
}

void Conv::pack(ThreadPool& pool, const Read& read, std::span<const float> steps, std::span<const float> bias) {
  weights_.reserve(padded_out_ * packed_taps_ * granule_bytes());
  pack_bias(bias);
  if (precision_ == Precision::int8) {
    weight_scale_.reserve(padded_out_);
    weight_sum_.reserve(padded_out_ * packed_taps_);
    std::fill_n(weight_scale_.data(), padded_out_, 0.0f);
  }
  const std::size_t row_size = in_ * packed_taps_;
  std::vector<std::vector<float>> buffers(pool.size(), std::vector<float>(kChannelStep * row_size));
  pool.run(padded_out_ / kChannelStep, [&](std::size_t task, std::size_t worker) {
    const std::size_t first = task * kChannelStep;
    const std::size_t n_rows = std::min(kChannelStep, out_ - first);
    float* rows = buffers[worker].data();
    read(first, {rows, n_rows * row_size});
    switch (precision_) {
      case Precision::float32: return pack_lanes<float, 1>(rows, n_rows, first, [](std::size_t, float x) { return x; }, nothing);
      case Precision::bfloat16:
        return pack_lanes<std::uint16_t, 2>(rows, n_rows, first, [](std::size_t, float x) { return to_bfloat16(x); }, nothing);
      case Precision::int8: return pack_int8(rows, n_rows, first, steps);
    }
  });
}

// What lies between the rows' ends and whole vectors meets staged zeros, or is scaled by zero.
void Conv::pack_compact(ThreadPool& pool, std::span<const std::int8_t> weights, const Bundle::Quantization& quantized,
                        std::span<const float> bias) {
  weights_.reserve(padded_out_ * packed_taps_ * granules_);
  pack_bias(bias);
  float* scale = expanded_scale_.reserve(padded_out_);
  float* zero = expanded_zero_.reserve(padded_out_);
  for (std::size_t channel = 0; channel < padded_out_; ++channel) {
    scale[channel] = channel < out_ ? quantized.scale[channel] : 0.0f;
    zero[channel] = channel < out_ ? static_cast<float>(quantized.zero_point[channel]) : 0.0f;
  }
  pool.run(padded_out_ / kChannelStep, [&](std::size_t task, std::size_t) {
    const std::size_t first = task * kChannelStep;
    const std::size_t n_rows = std::min(kChannelStep, out_ - first);
    const std::int8_t* rows = weights.data() + first * in_ * packed_taps_;
    pack_lanes<std::int8_t, 1>(rows, n_rows, first, [](std::size_t, std::int8_t q) { return q; }, nothing);
  });
}

// A panel of compact weights on its way to the points.
kernels::FilterWeightsArgs Conv::points_of(const Buffer<std::byte>& compact, std::size_t channel, std::size_t channels,
                                           float* out) const {
  return {
      .q = reinterpret_cast<const std::int8_t*>(compact.data()) + channel * taps_ * granules_,
      .tap_stride = granules_ * channels,
      .lines = granules_,
      .values = channels,
      .scale = expanded_scale_.data() + channel,
      .zero = expanded_zero_.data() + channel,
      .pairs = filter_->pairs(),
      .matrix = filter_->tap_matrix(),
      .out = out,
  };
}

// All that a block would expand each time, once.
void Conv::expand_to_points(Machine& machine) {
  const Buffer<std::byte> compact = std::exchange(weights_, {});
  const std::size_t points = filter_->points();
  const std::size_t width = product_->tile_channels;
  float* expanded = reinterpret_cast<float*>(weights_.reserve(padded_out_ * points * granule_bytes()));
  machine.pool.run((padded_out_ + width - 1) / width, [&](std::size_t panel, std::size_t) {
    const std::size_t channel = panel * width;
    const std::size_t channels = std::min(width, padded_out_ - channel);
    machine.table.filter_weights(points_of(compact, channel, channels, expanded + channel * points * granules_));
  });
  expanded_scale_ = {};
  expanded_zero_ = {};
}

// The rows that a block reads, activated and in the product's precision; before and after the input they are zero.
void Conv::stage(Machine::Scratch& scratch, const Source& source, const Affine& affine, const Block& block) const {
  const std::size_t row_bytes = granule_bytes();
  const std::size_t halo = (taps_ - 1) * shape_.dilation;
  // What the kernels may read: their last tile of rows, and a minimal filter's last tile, may reach beyond the block.
  const std::size_t beyond = filter_ != nullptr ? MinimalFilter::kOut * shape_.dilation : product_->tile_rows * shape_.stride;
  const std::size_t readable = block.rows * shape_.stride + halo + beyond;
  std::byte* staged = scratch.staged.reserve((kBlockRows * shape_.stride + halo + beyond) * row_bytes);
  float* row_scale = scratch.row_scale.reserve(kBlockRows * shape_.stride + halo + beyond);

  // The first staged row may lie before the input's first.
  const auto begin = static_cast<std::ptrdiff_t>(block.first * shape_.stride) - static_cast<std::ptrdiff_t>(shape_.padding);
  const std::size_t needed = (block.rows - 1) * shape_.stride + halo + 1;
  const std::size_t before = begin < 0 ? std::min(needed, static_cast<std::size_t>(-begin)) : 0;
  const auto from = static_cast<std::size_t>(begin + static_cast<std::ptrdiff_t>(before));
  const std::size_t inside = from < source.x.rows ? std::min(needed - before, source.x.rows - from) : 0;
  const auto blank = [&](std::size_t row, std::size_t count) {
    std::memset(staged + row * row_bytes, product_->zero, count * row_bytes);
    std::fill_n(row_scale + row, count, 0.0f);
  };
  const std::size_t staged_channels = granules_ * values_in_granule(precision_);
  const std::size_t channels = std::min(staged_channels, source.x.stride);
  blank(0, before);
  if (channels < staged_channels) blank(before, inside);
  product_->stage({
      .x = source.x.row(from),
      .x_stride = source.x.stride,
      .rows = inside,
      .channels = channels,
      .scale = affine.scale.data(),
      .shift = affine.shift.data(),
      .activation = source.activation,
      .slope = source.slope,
      .alpha_over_pi = source.snake != nullptr ? source.snake->alpha_over_pi.data() : nullptr,
      .inverse_alpha = source.snake != nullptr ? source.snake->inverse_alpha.data() : nullptr,
      .out = staged + before * row_bytes,
      .out_stride = row_bytes,
      .row_scale = row_scale + before,
  });
  blank(before + inside, readable - before - inside);
}

kernels::ConvArgs Conv::arguments(const Machine::Scratch& scratch, const Target& target, const Block& block) const {
  const std::size_t at = block.first * target.out.stride + block.channel;
  const bool scaled = precision_ == Precision::int8;
  return {
      .input = scratch.staged.data(),
      .input_stride = granule_bytes(),
      .rows = block.rows,
      .row_step = shape_.stride,
      .taps = taps_,
      .dilation = shape_.dilation,
      .granules = granules_,
      .weights = weights_.data() + block.channel * taps_ * granule_bytes(),
      .channels = block.channels,
      .channel_stride = padded_out_,
      .weight_scale = scaled ? weight_scale_.data() + block.channel : nullptr,
      .weight_sum = scaled ? weight_sum_.data() + block.channel : nullptr,
      .row_scale = scratch.row_scale.data(),
      .bias = bias_.data() + block.channel,
      .residual = target.residual != nullptr ? target.residual + at : nullptr,
      .accumulate = target.accumulate != nullptr ? target.accumulate + at : nullptr,
      .gain = target.gain,
      .out = target.out.data + at,
      .out_stride = target.out.stride,
      .sums = block.sums,
  };
}

void Conv::multiply(Machine::Scratch& scratch, const Target& target, const Block& block) const {
  product_->conv(arguments(scratch, target, block));
}

void Conv::multiply_compact(const kernels::Table& table, Machine::Scratch& scratch, const Target& target,
                            const Block& block) const {
  const std::size_t lines = taps_ * granules_;
  const std::size_t end = block.channel + block.channels;
  float* panel = scratch.panel.reserve(lines * product_->tile_channels);
  for (std::size_t channel = block.channel; channel < end; channel += product_->tile_channels) {
    Block part = block;
    part.channel = channel;
    part.channels = std::min(product_->tile_channels, end - channel);
    if (block.sums != nullptr) part.sums = block.sums + (channel - block.channel);
    table.expand({
        .q = reinterpret_cast<const std::int8_t*>(weights_.data()) + channel * lines,
        .lines = lines,
        .values = part.channels,
        .scale = expanded_scale_.data() + channel,
        .zero = expanded_zero_.data() + channel,
        .out = panel,
    });
    kernels::ConvArgs args = arguments(scratch, target, part);
    args.weights = panel;
    product_->conv(args);
  }
}

// One panel's product at each point. Compact weights go to the points so many input channels at a time as leave room in L2.
void Conv::multiply_points(const kernels::Table& table, Machine::Scratch& scratch, const Block& panel, std::size_t tiles) const {
  constexpr std::size_t kPanelBytes = 256 << 10;
  const std::size_t points = filter_->points();
  const std::size_t fit = kPanelBytes / (points * panel.channels * sizeof(float)) / kChannelStep * kChannelStep;
  const std::size_t step = compact() ? std::clamp(fit, kChannelStep, granules_) : granules_;
  for (std::size_t first = 0; first < granules_; first += step) {
    const std::size_t granules = std::min(step, granules_ - first);
    const float* weights;
    if (compact()) {
      float* expanded = scratch.panel.reserve(points * step * panel.channels);
      kernels::FilterWeightsArgs args = points_of(weights_, panel.channel, panel.channels, expanded);
      args.q += first * panel.channels;
      args.lines = granules;
      table.filter_weights(args);
      weights = expanded;
    } else {
      weights = reinterpret_cast<const float*>(weights_.data()) + panel.channel * points * granules_;
    }
    for (std::size_t p = 0; p < points; ++p) {
      float* products = scratch.products.data() + p * tiles * panel.channels;
      product_->conv({
          .input = scratch.points.data() + p * tiles * granules_ + first,
          .input_stride = granule_bytes(),
          .rows = tiles,
          .row_step = 1,
          .taps = 1,
          .dilation = 1,
          .granules = granules,
          .weights = weights + p * granules * panel.channels,
          .channels = panel.channels,
          .channel_stride = panel.channels,
          .weight_scale = nullptr,
          .weight_sum = nullptr,
          .row_scale = nullptr,
          .bias = nullptr,
          .residual = nullptr,
          .accumulate = first > 0 ? products : nullptr,
          .gain = 1.0f,
          .out = products,
          .out_stride = panel.channels,
          .sums = nullptr,
      });
    }
  }
}

// The block's rows to the points, then for each panel of output channels a product a point and back to rows: a panel's
// products and the block's points share L2 with the panel's weights.
void Conv::multiply_minimal(const kernels::Table& table, Machine::Scratch& scratch, const Target& target,
                            const Block& block) const {
  const std::size_t group = MinimalFilter::kOut * shape_.dilation;
  const std::size_t tiles = (block.rows + group - 1) / group * shape_.dilation;
  const std::size_t points = filter_->points();
  const std::size_t width = product_->tile_channels;
  float* values = scratch.points.reserve((points * tiles + product_->tile_rows) * granules_);
  table.filter_in({
      .x = reinterpret_cast<const float*>(scratch.staged.data()),
      .x_stride = granules_,
      .dilation = shape_.dilation,
      .tiles = tiles,
      .channels = granules_,
      .pairs = filter_->pairs(),
      .matrix = filter_->in_matrix(),
      .out = values,
      .point_stride = tiles * granules_,
  });
  const float* products = scratch.products.reserve(points * tiles * width);
  Block panel = block;
  for (std::size_t channel = block.channel; channel < block.channel + block.channels; channel += width) {
    panel.channel = channel;
    panel.channels = std::min(width, padded_out_ - channel);
    multiply_points(table, scratch, panel, tiles);
    const std::size_t at = block.first * target.out.stride + channel;
    table.filter_out({
        .products = products,
        .point_stride = tiles * panel.channels,
        .product_stride = panel.channels,
        .dilation = shape_.dilation,
        .tiles = tiles,
        .channels = panel.channels,
        .pairs = filter_->pairs(),
        .powers = filter_->out_powers(),
        .rows = block.rows,
        .bias = bias_.data() + channel,
        .residual = target.residual != nullptr ? target.residual + at : nullptr,
        .accumulate = target.accumulate != nullptr ? target.accumulate + at : nullptr,
        .gain = target.gain,
        .out = target.out.data + at,
        .out_stride = target.out.stride,
        .sums = block.sums != nullptr ? block.sums + (channel - block.channel) : nullptr,
        .channel_stride = padded_out_,
    });
  }
}

void Conv::run(Machine& machine, const Source& source, const Target& target) const {
  const std::size_t rows = target.out.rows;
  const std::size_t blocks = n_blocks(rows);
  if (target.sums != nullptr) target.sums->reset(blocks, padded_out_);

  // Few blocks (the decoder at 40 frames a second) are split by output channels as well, so that no thread is idle.
  const std::size_t panels = (padded_out_ + product_->tile_channels - 1) / product_->tile_channels;
  const std::size_t wanted = 4 * machine.pool.size();
  const std::size_t parts = machine.pool.size() == 1 ? 1 : std::clamp<std::size_t>(wanted / blocks, 1, panels);
  const std::size_t part_channels = (panels + parts - 1) / parts * product_->tile_channels;

  Affine identity;
  if (source.affine == nullptr) {
    std::fill_n(identity.scale.reserve(source.x.stride), source.x.stride, 1.0f);
    std::fill_n(identity.shift.reserve(source.x.stride), source.x.stride, 0.0f);
  }
  const Affine& affine = source.affine != nullptr ? *source.affine : identity;

  machine.pool.run(blocks * parts, [&](std::size_t task, std::size_t worker) {
    const std::size_t index = task / parts;
    const std::size_t channel = task % parts * part_channels;
    if (channel >= padded_out_) return;
    const Block block{
        .first = index * kBlockRows,
        .rows = std::min(kBlockRows, rows - index * kBlockRows),
        .channel = channel,
        .channels = std::min(part_channels, padded_out_ - channel),
        .sums = target.sums != nullptr ? target.sums->block(index) + channel : nullptr,
    };
    Machine::Scratch& scratch = machine.scratch[worker];
    stage(scratch, source, affine, block);
    if (filter_ != nullptr) {
      multiply_minimal(machine.table, scratch, target, block);
    } else if (compact()) {
      multiply_compact(machine.table, scratch, target, block);
    } else {
      multiply(scratch, target, block);
    }
  });
}

void sum_channels(Machine& machine, const Frames& x, ChannelSums& sums) {
  const std::size_t channels = round_up(x.channels, kChannelStep);
  const std::size_t blocks = Conv::n_blocks(x.rows);
  sums.reset(blocks, channels);
  machine.pool.run(blocks, [&](std::size_t block, std::size_t) {
    const std::size_t first = block * Conv::kBlockRows;
    machine.table.sums(x.row(first), x.stride, std::min(Conv::kBlockRows, x.rows - first), channels, sums.block(block));
  });
}

}  // namespace koe::vocoder
