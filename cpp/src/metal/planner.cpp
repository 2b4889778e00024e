// SPDX-License-Identifier: Apache-2.0
#include "metal/planner.hpp"

#include <algorithm>
#include <array>
#include <numbers>
#include <utility>

namespace koe::metal {
namespace {

constexpr float kDecoderSlope = 0.2f;
constexpr float kLevelSlope = 0.1f;
constexpr float kOutputSlope = 0.01f;
constexpr float kHalfPower = 1.0f / std::numbers::sqrt2_v<float>;
constexpr std::array<std::uint32_t, 2> kRates{10, 6};
constexpr std::uint32_t kMaxSimds = 8;

constexpr std::uint32_t blocks(std::uint32_t n, std::uint32_t size) { return (n + size - 1) / size; }
constexpr std::uint32_t round_up(std::uint32_t n, std::uint32_t step) { return blocks(n, step) * step; }

Region floats(Buffer buffer, std::size_t count) { return {buffer, 0, count * sizeof(float)}; }

Rows rows(Buffer buffer, std::uint32_t n, std::uint32_t channels) { return {buffer, n, channels, round_up(channels, 4)}; }

Region partials(const Statistics& s) {
  return floats(s.buffer, std::size_t{2} * blocks(s.rows, s.block_rows) * s.channels);
}

}  // namespace

const char* name_of(Kernel kernel) noexcept {
  switch (kernel) {
    case Kernel::decoder_input: return "decoder_input";
    case Kernel::style_affine: return "style_affine";
    case Kernel::statistics: return "statistics";
    case Kernel::fold: return "fold";
    case Kernel::conv_half: return "conv_half";
    case Kernel::conv_float: return "conv_float";
    case Kernel::pool: return "pool";
    case Kernel::source: return "source";
    case Kernel::stft: return "stft";
    case Kernel::istft: return "istft";
  }
  return "";
}

Region Rows::region() const noexcept {
  if (rows == 0) return {buffer, 0, 0};
  return {buffer, first_channel * sizeof(float), (std::size_t{rows - 1} * stride + channels) * sizeof(float)};
}

Rows Rows::part(std::uint32_t first, std::uint32_t count) const noexcept {
  return {buffer, rows, count, stride, first_channel + first};
}

Rows Planner::har_rows(std::uint32_t samples) { return rows(Buffer::har, samples / kHopSize + 1, 2 * kBinCount); }
Rows Planner::input_rows(std::uint32_t n, std::uint32_t channels) { return rows(Buffer::input, n, channels); }
Rows Planner::spectrum_rows(std::uint32_t n) { return rows(Buffer::spectrum, n, 2 * kBinCount); }

Statistics Planner::statistics(const Rows& x, Buffer into) {
  const Statistics s{into, x.rows, kStatisticsRows, x.channels};
  Dispatch d{.kernel = Kernel::statistics};
  d.set(StatisticsArguments{.rows = x.rows, .channels = x.channels, .stride = x.stride, .partial_stride = s.channels});
  d.regions = {x.region(), partials(s)};
  d.groups = {blocks(x.rows, kStatisticsRows), blocks(x.channels, kSimdWidth)};
  d.threads = std::uint32_t{kStatisticsSimds} * kSimdWidth;
  d.threadgroup_bytes = 3 * d.threads * sizeof(float);
  plan_.add(std::move(d));
  return s;
}

void Planner::fold(const NormLayer& norm, const Statistics& s) {
  Dispatch d{.kernel = Kernel::fold};
  d.set(FoldArguments{.rows = s.rows,
                      .block_rows = s.block_rows,
                      .blocks = blocks(s.rows, s.block_rows),
                      .channels = norm.channels,
                      .partial_stride = s.channels,
                      .affine_stride = norm.channels});
  d.regions = {partials(s),
               {Buffer::adain, norm.style_at * sizeof(float), std::size_t{2} * norm.channels * sizeof(float)},
               norm.norm,
               floats(Buffer::affine, std::size_t{2} * norm.channels)};
  d.groups = {blocks(norm.channels, kSimdWidth), 1};
  d.threads = std::uint32_t{kFoldSimds} * kSimdWidth;
  d.threadgroup_bytes = 3 * d.threads * sizeof(float);
  plan_.add(std::move(d));
}

namespace {

struct Tile {
  std::uint32_t simd_rows;
  std::uint32_t bytes;
};

// Two simdgroups above one another share each weight that they read; short inputs and narrow outputs want other shapes.
Tile tile_of(const ConvLayer& layer, std::uint32_t n_rows) {
  Tile tile{n_rows <= kSimdTile ? 1u : 2u, 0};
  const std::uint32_t element = layer.is_half ? 2 : 4;
  const std::uint32_t staged = (tile.simd_rows * kSimdTile - 1) * layer.row_step + (layer.taps - 1) * layer.dilation + 1;
  const std::uint32_t simds = tile.simd_rows * layer.simd_columns;
  static_assert(2 * 4 <= kMaxSimds);
  const std::uint32_t strips = simds * (kMatrix * kSimdTile + 2 * kSimdTile) * static_cast<std::uint32_t>(sizeof(float));
  tile.bytes = round_up(std::max(staged * (layer.block + kStagePad) * element, strips), 16);
  return tile;
}

Dispatch conv_dispatch(const ConvLayer& layer, const Tile& tile, std::uint32_t n_rows) {
  Dispatch d{.kernel = layer.is_half ? Kernel::conv_half : Kernel::conv_float};
  d.constants[kConstantTaps] = layer.taps;
  d.constants[kConstantDilation] = layer.dilation;
  d.constants[kConstantRowStep] = layer.row_step;
  d.constants[kConstantSimdRows] = tile.simd_rows;
  d.constants[kConstantSimdColumns] = layer.simd_columns;
  d.constants[kConstantBlock] = layer.block;
  d.groups = {blocks(n_rows, kSimdTile * tile.simd_rows), layer.padded_out / (kSimdTile * layer.simd_columns)};
  d.threads = kSimdWidth * tile.simd_rows * layer.simd_columns;
  d.threadgroup_bytes = tile.bytes;
  return d;
}

ConvArguments conv_arguments(const ConvLayer& layer, const Rows& x, std::uint32_t n_rows) {
  ConvArguments a{};
  a.rows = n_rows;
  a.in_rows = x.rows;
  a.in_channels = layer.in;
  a.in_stride = x.stride;
  a.in_blocks = layer.in_blocks;
  a.padding = layer.padding;
  a.out_channels = layer.out;
  a.weight_matrices = layer.padded_out / kMatrix;
  a.gain = 1.0f;
  return a;
}

}  // namespace

Statistics Planner::conv(const ConvLayer& layer, const Rows& x, const Entry& entry, const Exit& exit) {
  const std::uint32_t n_rows = exit.out.rows;
  const Tile tile = tile_of(layer, n_rows);
  Dispatch d = conv_dispatch(layer, tile, n_rows);
  d.constants[kConstantActivation] = entry.activation;
  d.constants[kConstantStore] = exit.is_spectrum ? kStoreSpectrum : kStoreRows;
  d.constants[kConstantTerms] = (exit.residual ? kTermResidual : 0u) | (exit.accumulate ? kTermAccumulate : 0u) |
                                (exit.has_statistics ? kTermStatistics : 0u);
  const Statistics statistics{Buffer::partials, n_rows, kSimdTile * tile.simd_rows, layer.out};
  ConvArguments a = conv_arguments(layer, x, n_rows);
  a.out_stride = exit.out.stride;
  a.affine_stride = entry.is_affine ? layer.in : 0;
  a.residual_stride = exit.residual ? exit.residual->stride : 0;
  a.residual_shift = exit.residual_shift;
  a.partial_stride = layer.out;
  a.slope = entry.slope;
  a.gain = exit.gain;
  d.set(a);
  d.regions = {x.region(),
               layer.weights,
               layer.bias,
               entry.is_affine ? floats(Buffer::affine, std::size_t{2} * layer.in) : Region{},
               entry.snake,
               exit.residual ? exit.residual->region() : Region{},
               exit.accumulate ? exit.accumulate->region() : Region{},
               exit.out.region(),
               exit.has_statistics ? partials(statistics) : Region{}};
  plan_.add(std::move(d));
  return statistics;
}

void Planner::up(const ConvLayer& layer, const Rows& x, float slope, const Rows& sum, bool is_padded) {
  const std::uint32_t n_rows = x.rows + 1;
  const Tile tile = tile_of(layer, n_rows);
  Dispatch d = conv_dispatch(layer, tile, n_rows);
  d.constants[kConstantActivation] = kActivationLeaky;
  d.constants[kConstantStore] = kStorePolyphase;
  ConvArguments a = conv_arguments(layer, x, n_rows);
  a.out_stride = sum.stride;
  a.residual_stride = sum.stride;
  a.phases = layer.phases;
  a.phase_channels = sum.channels;
  a.phase_offset = layer.phases / 2 - (is_padded ? 1 : 0);
  a.phase_rows = sum.rows;
  a.mirrored = is_padded ? 1 : 0;
  a.slope = slope;
  d.set(a);
  d.regions = {x.region(), layer.weights, layer.bias, {}, {}, sum.region(), {}, sum.region(), {}};
  plan_.add(std::move(d));
}

void Planner::pool(const AdainResidualLayers& block, const Rows& x, const Rows& out) {
  Dispatch d{.kernel = Kernel::pool};
  d.set(PoolArguments{.rows = x.rows,
                      .channels = x.channels,
                      .in_stride = x.stride,
                      .out_stride = out.stride,
                      .affine_stride = x.channels,
                      .slope = kDecoderSlope});
  d.regions = {x.region(), floats(Buffer::affine, std::size_t{2} * x.channels), block.pool_weight, block.pool_bias,
               out.region()};
  d.groups = {blocks(x.channels, kElementThreads), x.rows};
  d.threads = kElementThreads;
  plan_.add(std::move(d));
}

void Planner::style() {
  Dispatch d{.kernel = Kernel::style_affine};
  d.set(StyleArguments{.rows = network_.style_rows, .style_size = network_.style_size});
  d.regions = {floats(Buffer::style, network_.style_size), network_.style_weight, network_.style_bias,
               floats(Buffer::adain, network_.style_rows)};
  d.groups = {blocks(network_.style_rows, kStyleThreads), 1};
  d.threads = kStyleThreads;
  plan_.add(std::move(d));
}

// StyleTTS2's AdainResBlk1d. May write into x's own rows: the last convolution reads none of x.
void Planner::block(const AdainResidualLayers& layers, const Rows& x, const Rows& out) {
  const std::uint32_t width = layers.conv2.out;
  const Rows skip = rows(Buffer::skip, x.rows, width);
  const Rows hidden = rows(Buffer::hidden, out.rows, width);
  conv(layers.shortcut, x, {}, {.out = skip});
  fold(layers.norm1, statistics(x));
  Statistics hidden_statistics;
  if (layers.upsamples()) {
    const Rows pooled = rows(Buffer::pooled, out.rows, x.channels);
    pool(layers, x, pooled);
    hidden_statistics = conv(layers.conv1, pooled, {}, {.out = hidden, .has_statistics = true});
  } else {
    hidden_statistics = conv(layers.conv1, x, {.is_affine = true, .activation = kActivationLeaky, .slope = kDecoderSlope},
                             {.out = hidden, .has_statistics = true});
  }
  fold(layers.norm2, hidden_statistics);
  conv(layers.conv2, hidden, {.is_affine = true, .activation = kActivationLeaky, .slope = kDecoderSlope},
       {.out = out, .residual = skip, .residual_shift = layers.upsamples() ? 1u : 0u, .gain = kHalfPower});
}

Rows Planner::decoder(std::uint32_t frames) {
  const std::uint32_t width = network_.encode.conv2.out;
  const std::uint32_t residual = network_.asr_residual.out;
  const Rows input = rows(Buffer::input, frames, network_.asr_channels + 2);
  // A block's features stand first in the row, then asr_res, F0 and N: the next block's input without a copy.
  const Rows features = rows(Buffer::features, frames, width + residual + 2);
  const Rows decoded = rows(Buffer::decoded, 2 * frames, network_.decode.back().conv2.out);

  Dispatch d{.kernel = Kernel::decoder_input};
  DecoderInputArguments a{};
  a.frames = frames;
  a.channels = network_.asr_channels;
  a.in_stride = input.stride;
  a.features_stride = features.stride;
  a.features_at = width + residual;
  std::ranges::copy(network_.f0_weight, a.f0_weight);
  a.f0_bias = network_.f0_bias;
  std::ranges::copy(network_.n_weight, a.n_weight);
  a.n_bias = network_.n_bias;
  d.set(a);
  d.regions = {floats(Buffer::asr, std::size_t{frames} * a.channels), floats(Buffer::f0, std::size_t{2} * frames),
               floats(Buffer::n, std::size_t{2} * frames), input.region(), features.region()};
  d.groups = {blocks(a.channels + 2, kElementThreads), frames};
  d.threads = kElementThreads;
  plan_.add(std::move(d));

  conv(network_.asr_residual, input.part(0, network_.asr_channels), {}, {.out = features.part(width, residual)});
  block(network_.encode, input, features.part(0, width));
  for (const AdainResidualLayers& layers : network_.decode) {
    block(layers, features, layers.upsamples() ? decoded : features.part(0, width));
  }
  return decoded;
}

void Planner::source(const SourceOptions& o) {
  const std::uint32_t samples = o.steps * kSourceSamplesPerStep;
  Dispatch d{.kernel = Kernel::source};
  SourceArguments a{};
  a.steps = o.steps;
  a.has_noise = o.seed ? 1 : 0;
  a.seed_low = static_cast<std::uint32_t>(o.seed.value_or(0));
  a.seed_high = static_cast<std::uint32_t>(o.seed.value_or(0) >> 32);
  a.voiced_deviation = o.voiced_deviation;
  a.unvoiced_deviation = o.unvoiced_deviation;
  a.bias = o.bias;
  std::ranges::transform(o.weight.first(kSourceHarmonics), a.gain, [&](float w) { return o.amplitude * w; });
  d.set(a);
  d.regions = {floats(Buffer::f0, o.steps), floats(Buffer::middle, std::size_t{o.steps} * kSourceHarmonics),
               floats(Buffer::signal, samples)};
  d.groups = {blocks(samples / kSourceSamplesPerThread, kSourceThreads), 1};
  d.threads = kSourceThreads;
  plan_.add(std::move(d));
}

Rows Planner::source_spectrum(std::uint32_t samples) {
  const Rows har = har_rows(samples);
  Dispatch d{.kernel = Kernel::stft};
  d.set(StftArguments{.samples = samples, .rows = har.rows, .stride = har.stride});
  d.regions = {floats(Buffer::signal, samples), network_.stft_table, har.region()};
  d.groups = {blocks(har.rows, kStftThreads), 1};
  d.threads = kStftThreads;
  plan_.add(std::move(d));
  return har;
}

// Three passes of AdaIN, Snake and convolution. `state` becomes the block's output; x may be `state`. With `last`, the last
// pass writes there instead.
void Planner::residual(const SnakeResidualLayers& passes, const Rows& x, Statistics statistics, const Rows& state,
                       const Exit* last) {
  const Rows hidden = rows(Buffer::hidden, x.rows, x.channels);
  Rows in = x;
  for (const SnakePassLayers& pass : passes) {
    const bool is_last = &pass == &passes.back();
    fold(pass.norm1, statistics);
    statistics = conv(pass.conv1, in, {.is_affine = true, .activation = kActivationSnake, .snake = pass.snake1},
                      {.out = hidden, .has_statistics = true});
    fold(pass.norm2, statistics);
    Exit exit{.out = state, .residual = in, .has_statistics = !is_last};
    if (is_last && last != nullptr) {
      exit.out = last->out;
      exit.accumulate = last->accumulate;
      exit.gain = last->gain;
    }
    statistics = conv(pass.conv2, hidden, {.is_affine = true, .activation = kActivationSnake, .snake = pass.snake2}, exit);
    in = state;
  }
}

Rows Planner::level(std::size_t index, const Rows& x, const Rows& har) {
  const LevelLayers& layers = network_.levels[index];
  const bool is_last = index + 1 == network_.levels.size();
  const std::uint32_t n_rows = x.rows * kRates[index] + (is_last ? 1 : 0);
  const Rows sum = rows(Buffer::sum, n_rows, layers.channels);
  const Rows state = rows(Buffer::state, n_rows, layers.channels);
  const Rows mean = rows(index == 0 ? Buffer::mean0 : Buffer::mean1, n_rows, layers.channels);
  const Statistics noise = conv(layers.noise, har, {}, {.out = sum, .has_statistics = true});
  residual(layers.noise_residual, sum, noise, sum);
  // On the last level the original pads one row on the left by reflection.
  up(layers.up, x, kLevelSlope, sum, is_last);
  const Statistics sum_statistics = statistics(sum, Buffer::sum_partials);
  for (std::size_t i = 0; i < layers.residuals.size(); ++i) {
    const bool is_last_block = i + 1 == layers.residuals.size();
    const Exit exit{.out = mean,
                    .residual = std::nullopt,
                    .accumulate = i == 0 ? std::nullopt : std::optional(mean),
                    .gain = is_last_block ? 1.0f / static_cast<float>(layers.residuals.size()) : 1.0f};
    residual(layers.residuals[i], sum, sum_statistics, state, &exit);
  }
  return mean;
}

Rows Planner::output(const Rows& x) {
  const Rows spectrum = spectrum_rows(x.rows);
  conv(network_.output, x, {.activation = kActivationLeaky, .slope = kOutputSlope}, {.out = spectrum, .is_spectrum = true});
  return spectrum;
}

void Planner::istft(const Rows& x) {
  Dispatch d{.kernel = Kernel::istft};
  d.set(IstftArguments{.rows = x.rows, .stride = x.stride});
  d.regions = {x.region(), network_.istft_table, floats(Buffer::samples, std::size_t{x.rows - 1} * kHopSize)};
  d.groups = {blocks(x.rows - 1, kIstftHops), 1};
  d.threads = std::uint32_t{kIstftHops} * kHopSize;
  d.threadgroup_bytes = round_up((kIstftHops + kFftSize / kHopSize - 1) * kBinCount * 2 * static_cast<std::uint32_t>(sizeof(float)), 16);
  plan_.add(std::move(d));
}

}  // namespace koe::metal
