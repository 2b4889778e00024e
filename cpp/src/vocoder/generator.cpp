// SPDX-License-Identifier: Apache-2.0
#include "vocoder/generator.hpp"

#include <algorithm>

#include "koe/error.hpp"
#include "vocoder/stft.hpp"

namespace koe::vocoder {
namespace {

using kernels::Activation;
using kernels::Precision;

constexpr std::array<std::size_t, 3> kDilations{1, 3, 5};
constexpr std::size_t kResidualsPerLevel = 3;
constexpr float kSlope = 0.1f;
// The original calls the last LeakyReLU with torch's default, not its own 0.1.
constexpr float kOutputSlope = 0.01f;

// What the upsampling takes where the generator's other products take `precision`: it makes more of bfloat16's distance from
// float32 than any of them and is a 40th of the work. Only where bfloat16 is the fastest it takes it too.
Precision for_upsampling(const kernels::Table& table, Precision precision) noexcept {
  return precision == Precision::bfloat16 && table.fastest != Precision::bfloat16 ? Precision::float32 : precision;
}

std::size_t taps_of(const Bundle& bundle, const std::string& conv) {
  const Tensor& weight = bundle.tensor(conv + ".weight");
  if (weight.shape.size() != 3) throw Error("bundle tensor '" + weight.name + "' is not a convolution's");
  return static_cast<std::size_t>(weight.shape[2]);
}

// In float32 the convolutions of three taps stay compact: expanding their weights for each block costs a fiftieth of the time
// and saves 18 MB. Those of seven would cost an eighth.
Conv same_conv(const Bundle& bundle, const std::string& name, Machine& machine, Precision precision,
               std::size_t dilation, std::size_t channels) {
  const std::size_t taps = taps_of(bundle, name);
  // The points of the first level's 7 taps would take 44 MB, and expanding them each time takes a few hundredths of the time.
  const bool compact = taps == 3 || (taps == 7 && channels >= 256);
  Conv conv(bundle, name, machine, precision,
            {.dilation = dilation, .padding = (taps - 1) * dilation / 2, .minimal = true, .compact = compact});
  if (conv.in_channels() != channels || conv.out_channels() != channels || conv.taps() % 2 == 0) {
    throw Error("bundle tensor '" + name + ".weight' does not map " + std::to_string(channels) + " channels to as many");
  }
  return conv;
}

}  // namespace

SnakeResidual::SnakeResidual(const Bundle& bundle, const std::string& name, Machine& machine, Precision precision,
                             std::size_t channels) {
  for (std::size_t i = 0; i < kDilations.size(); ++i) {
    const std::string n = "." + std::to_string(i);
    passes_.push_back({
        .norm1 = AdaIn(bundle, name + ".adain1" + n, channels),
        .snake1 = Snake(bundle, name + ".alpha1" + n, channels),
        .conv1 = same_conv(bundle, name + ".convs1" + n, machine, precision, kDilations[i], channels),
        .norm2 = AdaIn(bundle, name + ".adain2" + n, channels),
        .snake2 = Snake(bundle, name + ".alpha2" + n, channels),
        .conv2 = same_conv(bundle, name + ".convs2" + n, machine, precision, 1, channels),
    });
  }
}

void SnakeResidual::run(Machine& machine, std::span<const float> style, const Frames& x, const ChannelSums& x_sums,
                        const Frames& state, const Frames& hidden, Workspace& workspace, const Target* mean) const {
  ChannelSums& sums = workspace.sums;
  const ChannelSums* in_sums = &x_sums;
  Frames in = x;
  for (std::size_t i = 0; i < passes_.size(); ++i) {
    const Pass& pass = passes_[i];
    const bool last = i + 1 == passes_.size();
    pass.norm1.fold(style, *in_sums, in.rows, workspace.affine);
    pass.conv1.run(machine,
                   {.x = in, .affine = &workspace.affine, .activation = Activation::snake, .snake = &pass.snake1},
                   {.out = hidden, .sums = &sums});
    pass.norm2.fold(style, sums, in.rows, workspace.affine);
    Target target{.out = state, .residual = in.data, .sums = last ? nullptr : &sums};
    if (last && mean != nullptr) {
      target.out = mean->out;
      target.accumulate = mean->accumulate;
      target.gain = mean->gain;
    }
    pass.conv2.run(machine,
                   {.x = hidden, .affine = &workspace.affine, .activation = Activation::snake, .snake = &pass.snake2}, target);
    in = state;
    in_sums = &sums;
  }
}

Generator::Generator(const Bundle& bundle, Machine& machine, Precision precision)
    : output_(bundle, "generator.conv_post", machine, Precision::float32,
              {.padding = (taps_of(bundle, "generator.conv_post") - 1) / 2}) {
  if (output_.out_channels() != 2 * kBins) throw Error("bundle tensor 'generator.conv_post.weight' has not 22 outputs");
  for (std::size_t level = 0; level < kLevels; ++level) {
    const std::string n = std::to_string(level);
    Conv up = Conv::transposed(bundle, "generator.ups." + n, machine, for_upsampling(machine.table, precision),
                               kRates[level]);
    const std::size_t channels = up.out_channels() / kRates[level];
    if (channels % kRowStep != 0) throw Error("the generator's layers are not whole multiples of 64 channels wide");
    // The source is at the output's rate: the first level strides over what the second upsamples by.
    const std::size_t stride = level + 1 < kLevels ? kRates[level + 1] : 1;
    Conv noise(bundle, "generator.noise_convs." + n, machine, Precision::float32,
               {.stride = stride, .padding = stride > 1 ? (stride + 1) / 2 : 0});
    if (noise.in_channels() != 2 * kBins || noise.out_channels() != channels) {
      throw Error("bundle tensor 'generator.noise_convs." + n + ".weight' does not map 22 channels to " +
                  std::to_string(channels));
    }
    std::vector<SnakeResidual> residuals;
    for (std::size_t i = 0; i < kResidualsPerLevel; ++i) {
      residuals.emplace_back(bundle, "generator.resblocks." + std::to_string(level * kResidualsPerLevel + i), machine, precision,
                             channels);
    }
    levels_.push_back({channels, std::move(up), std::move(noise),
                       SnakeResidual(bundle, "generator.noise_res." + n, machine, precision, channels), std::move(residuals)});
  }
}

// The polyphase product writes whole groups of `rate` rows, half a group more than there are at either end.
std::size_t Generator::region_floats(std::size_t level, std::size_t rows) const noexcept {
  return (out_rows(level, rows) + 2 * kRates[level]) * levels_[level].channels;
}

Frames Generator::run_level(Machine& machine, std::size_t level, const Frames& x, const Frames& har,
                            std::span<const float> style, Arena& arena) {
  Level& l = levels_[level];
  const std::size_t rate = kRates[level];
  const std::size_t rows = out_rows(level, x.rows);
  const std::size_t stride = l.channels;
  Frames sum = arena.head(Arena::Region::x).take(rows + 2 * rate, stride);
  sum.rows = rows;
  sum.data += rate * stride;
  const Frames hidden = arena.head(Arena::Region::hidden).take(rows, stride);

  l.noise.run(machine, {.x = har}, {.out = sum, .sums = &sums_});
  l.noise_residual.run(machine, style, sum, sums_, sum, hidden, workspace_);

  // On the last level the original pads one row on the left by reflection: row r holds output r − 1, row 0 output 1.
  const bool padded = level + 1 == kLevels;
  std::vector<float> first_source;
  std::vector<float> mirrored_source;
  if (padded) {
    first_source.assign(sum.row(0), sum.row(0) + stride);
    mirrored_source.assign(sum.row(2), sum.row(2) + stride);
  }
  const std::size_t offset = rate / 2 - (padded ? 1 : 0);
  float* groups = sum.data - offset * stride;
  l.up.run(machine, {.x = x, .activation = Activation::leaky, .slope = kSlope},
           {.out = {groups, x.rows + 1, rate * stride, rate * stride}, .residual = groups});
  if (padded) {
    for (std::size_t c = 0; c < stride; ++c) sum.row(0)[c] = sum.row(2)[c] - mirrored_source[c] + first_source[c];
  }

  sum_channels(machine, sum, sums_);
  // From here on neither x nor, on the last level, har are read again.
  const Frames state = arena.head(Arena::Region::state).take(rows, stride);
  const Frames mean = arena.head(Arena::Region::mean).take(rows, stride);
  for (std::size_t i = 0; i < l.residuals.size(); ++i) {
    const bool last = i + 1 == l.residuals.size();
    const Target target{.out = mean,
                        .accumulate = i == 0 ? nullptr : mean.data,
                        .gain = last ? 1.0f / static_cast<float>(l.residuals.size()) : 1.0f};
    l.residuals[i].run(machine, style, sum, sums_, state, hidden, workspace_, &target);
  }
  return mean;
}

Frames Generator::run_output(Machine& machine, const Frames& x, Arena& arena) {
  const Frames spectrum = arena.head(Arena::Region::x).take(x.rows, 2 * kBins, kChannelStep);
  output_.run(machine, {.x = x, .activation = Activation::leaky, .slope = kOutputSlope}, {.out = spectrum});
  return spectrum;
}

}  // namespace koe::vocoder
