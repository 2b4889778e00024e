// SPDX-License-Identifier: Apache-2.0
// Convolutions. Each case runs twice: on small whole numbers and powers of two, where every order of summation gives the
// same float and results must be equal; and on real numbers, where they may differ by rounding.
#include <cmath>
#include <cstring>
#include <vector>

#include "memory.hpp"
#include "tests.hpp"

namespace koe::kernel_tests {
namespace {

using kernels::ConvArgs;
using kernels::Precision;
using kernels::Product;

struct Shape {
  std::size_t in;
  std::size_t out;
  std::size_t taps;
  std::size_t dilation;
  std::size_t row_step;
  std::size_t rows;
};

enum class Numbers : std::uint8_t { whole, real, extreme };  ///< extreme: int8, every product ±127²
enum class Added : std::uint8_t { nothing, separate, in_place };

struct Case {
  Shape shape;
  Numbers numbers;
  Added residual = Added::nothing;
  Added accumulate = Added::nothing;
  bool sums = false;
  bool in_parts = false;      ///< the output channels in two calls, as when threads share a block
  bool wide_rows = false;     ///< staged rows with something between them
  bool bare = false;          ///< float32: no bias, and so neither residual, gain nor sums
};

std::size_t values_in_granule(Precision precision) noexcept {
  return precision == Precision::float32 ? 1 : precision == Precision::bfloat16 ? 2 : 4;
}

std::uint16_t to_bfloat16(float x) noexcept {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float through_bfloat16(float x) noexcept {
  const std::uint32_t bits = static_cast<std::uint32_t>(to_bfloat16(x)) << 16;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

void put(std::byte* at, float value, Precision precision, std::uint8_t zero) noexcept {
  if (precision == Precision::float32) {
    std::memcpy(at, &value, 4);
  } else if (precision == Precision::bfloat16) {
    const std::uint16_t h = to_bfloat16(value);
    std::memcpy(at, &h, 2);
  } else {
    *at = static_cast<std::byte>(static_cast<int>(value) + zero);
  }
}

// The layer and its input before any packing.
struct Layer {
  std::size_t granules;
  std::size_t staged;            // values in a staged row
  std::size_t channels;          // output channels, whole vectors
  std::size_t rows_in;           // staged rows that the output depends on
  std::vector<float> x;          // [rows_in][staged]
  std::vector<float> w;          // [channels][taps][staged]
  std::vector<float> row_scale;  // [rows_in]
  std::vector<float> weight_scale;
  std::vector<float> bias;
  std::vector<float> residual;   // [rows][channels]
  std::vector<float> accumulate;
  float gain;
};

Layer make_layer(const Case& c, Precision precision, Random& random) {
  const Shape& s = c.shape;
  const std::size_t values = values_in_granule(precision);
  Layer layer;
  layer.granules = round_up(s.in, 16 * values) / values;
  layer.staged = layer.granules * values;
  layer.channels = round_up(s.out, 16);
  layer.rows_in = (s.rows - 1) * s.row_step + (s.taps - 1) * s.dilation + 1;
  layer.x.resize(layer.rows_in * layer.staged);
  layer.w.assign(layer.channels * s.taps * layer.staged, 0.0f);
  const auto value = [&]() -> float {
    if (precision == Precision::int8) return static_cast<float>(random.integer(-127, 127));
    if (c.numbers == Numbers::whole) return static_cast<float>(random.integer(-8, 8));
    const float x = random.uniform(-1.0f, 1.0f);
    return precision == Precision::bfloat16 ? through_bfloat16(x) : x;
  };
  for (float& x : layer.x) x = value();
  for (std::size_t o = 0; o < s.out; ++o) {
    for (std::size_t tap = 0; tap < s.taps; ++tap) {
      for (std::size_t i = 0; i < s.in; ++i) {
        layer.w[(o * s.taps + tap) * layer.staged + i] = c.numbers == Numbers::extreme ? (o % 3 == 0 ? -127.0f : 127.0f) : value();
      }
    }
  }
  if (c.numbers == Numbers::extreme) {
    for (std::size_t i = 0; i < layer.x.size(); ++i) layer.x[i] = i / layer.staged % 2 == 0 ? 127.0f : -127.0f;
  }

  const auto fill = [&](std::vector<float>& v, std::size_t n, auto&& f) {
    v.resize(n);
    for (float& x : v) x = f();
  };
  const auto power = [&](int low, int high) { return std::ldexp(1.0f, random.integer(low, high)); };
  const auto small = [&] {
    return c.numbers == Numbers::real ? random.uniform(-1.0f, 1.0f) : static_cast<float>(random.integer(-100, 100));
  };
  if (c.numbers == Numbers::real) {
    fill(layer.row_scale, layer.rows_in, [&] { return random.uniform(0.5f, 1.0f) / 127.0f; });
    fill(layer.weight_scale, layer.channels, [&] { return random.uniform(0.5f, 1.0f) / 127.0f; });
  } else {
    fill(layer.row_scale, layer.rows_in, [&] { return c.numbers == Numbers::whole ? power(0, 2) : 1.0f; });
    fill(layer.weight_scale, layer.channels, [&] { return c.numbers == Numbers::whole ? power(-1, 1) : 1.0f; });
  }
  fill(layer.bias, layer.channels, small);
  fill(layer.residual, s.rows * layer.channels, small);
  fill(layer.accumulate, s.rows * layer.channels, small);
  layer.gain = c.numbers == Numbers::real ? random.uniform(0.3f, 1.0f) : power(-1, 0);
  // ±127² · 128 · n plus a bias is no float any more.
  if (c.numbers == Numbers::extreme) {
    for (float& b : layer.bias) b *= 128.0f;
    for (float& r : layer.residual) r *= 128.0f;
    for (float& a : layer.accumulate) a *= 128.0f;
  }
  return layer;
}

// What `kernels.hpp` promises, in double.
std::vector<float> formula(const Case& c, const Layer& layer, Precision precision) {
  const Shape& s = c.shape;
  std::vector<float> out(s.rows * layer.channels);
  for (std::size_t t = 0; t < s.rows; ++t) {
    for (std::size_t o = 0; o < layer.channels; ++o) {
      double total = 0.0;
      for (std::size_t tap = 0; tap < s.taps; ++tap) {
        const std::size_t row = t * s.row_step + tap * s.dilation;
        const float* x = layer.x.data() + row * layer.staged;
        const float* w = layer.w.data() + (o * s.taps + tap) * layer.staged;
        double sum = 0.0;
        for (std::size_t i = 0; i < layer.staged; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(w[i]);
        total += precision == Precision::int8 ? sum * static_cast<double>(layer.row_scale[row]) : sum;
      }
      const std::size_t at = t * layer.channels + o;
      if (precision == Precision::int8) total *= static_cast<double>(layer.weight_scale[o]);
      if (!c.bare) total += static_cast<double>(layer.bias[o]);
      if (c.residual != Added::nothing) total += static_cast<double>(layer.residual[at]);
      if (c.accumulate != Added::nothing) total += static_cast<double>(layer.accumulate[at]);
      out[at] = static_cast<float>(c.bare ? total : total * static_cast<double>(layer.gain));
    }
  }
  return out;
}

void check_sums(const Guarded<float>& sums, const Guarded<float>& out, const Case& c, const Layer& layer, std::size_t stride,
                std::size_t out_stride, const std::vector<float>& before) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::size_t channel = i % stride;
    if (channel >= layer.channels && !same_bytes(&sums[i], &before[i], sizeof(float))) throw Failure("wrote between the sums");
  }
  for (std::size_t o = 0; o < layer.channels; ++o) {
    double sum = static_cast<double>(before[o]);
    double square = static_cast<double>(before[stride + o]);
    double magnitude = std::abs(sum);
    for (std::size_t r = 0; r < c.shape.rows; ++r) {
      const auto y = static_cast<double>(out[(r + 1) * out_stride + o]);
      sum += y;
      magnitude += std::abs(y);
      square += y * y;
    }
    // Summing n floats in any order is off by n roundings of the sum of magnitudes at most (Higham 2002, §4.2).
    const double rounding = static_cast<double>(c.shape.rows + 3) * 0x1p-24;
    const auto wrong = [&](const char* name, double got, double wanted, double allowed) {
      throw Failure(std::string(name) + " of channel " + std::to_string(o) + " is " + std::to_string(got) + ", not " +
                    std::to_string(wanted) + " ± " + std::to_string(allowed));
    };
    const auto got = static_cast<double>(sums[o]);
    const auto got_square = static_cast<double>(sums[stride + o]);
    if (!(std::abs(got - sum) <= rounding * magnitude)) wrong("the sum", got, sum, rounding * magnitude);
    if (!(std::abs(got_square - square) <= rounding * square)) wrong("the sum of squares", got_square, square, rounding * square);
  }
}

// Runs one table's kernel between guards and returns its output, [rows][channels].
std::vector<float> run_kernel(const Case& c, const Layer& layer, const Product& product, Precision precision) {
  const Shape& s = c.shape;
  const std::size_t values = values_in_granule(precision);
  const std::size_t bytes = 4 / values;

  // Readable are the rows that a last, unfilled tile reads; what is in them must not matter.
  const std::size_t readable = (round_up(s.rows, product.tile_rows) - 1) * s.row_step + (s.taps - 1) * s.dilation + 1;
  const std::size_t row_bytes = layer.granules * 4;
  const std::size_t stride = row_bytes + (c.wide_rows ? 64 : 0);
  const Guarded<std::byte> input((readable - 1) * stride + row_bytes);
  const Guarded<float> row_scale(precision == Precision::int8 ? readable : 0);
  for (std::size_t r = 0; r < layer.rows_in; ++r) {
    for (std::size_t i = 0; i < layer.staged; ++i) {
      put(input.data() + r * stride + i * bytes, layer.x[r * layer.staged + i], precision, product.zero);
    }
    if (precision == Precision::int8) row_scale[r] = layer.row_scale[r];
  }

  const std::size_t tile = product.tile_channels;
  const Guarded<std::byte> weights(layer.channels * s.taps * row_bytes);
  const std::size_t channel_stride = layer.channels + (c.in_parts ? 16 : 0);
  const Guarded<std::int32_t> weight_sum(precision == Precision::int8 ? s.taps * channel_stride : 0);
  for (std::size_t o = 0; o < layer.channels; ++o) {
    const std::size_t panel = o / tile * tile;
    const std::size_t width = std::min(tile, layer.channels - panel);
    for (std::size_t tap = 0; tap < s.taps; ++tap) {
      std::int32_t sum = 0;
      for (std::size_t i = 0; i < layer.staged; ++i) {
        const float w = layer.w[(o * s.taps + tap) * layer.staged + i];
        std::byte* at = weights.data() + panel * s.taps * row_bytes +
                        ((tap * layer.granules + i / values) * width + (o - panel)) * 4 + i % values * bytes;
        put(at, w, precision, 0);
        sum += precision == Precision::int8 ? static_cast<std::int32_t>(w) * product.zero : 0;
      }
      if (precision == Precision::int8) weight_sum[tap * channel_stride + o] = sum;
    }
  }

  const Guarded<float> weight_scale(layer.channels);
  std::copy(layer.weight_scale.begin(), layer.weight_scale.end(), weight_scale.begin());
  const Guarded<float> bias(layer.channels);
  std::copy(layer.bias.begin(), layer.bias.end(), bias.begin());

  // A row in front, two behind, and a vector between rows must stay as they are.
  const std::size_t out_stride = layer.channels + 16;
  const std::size_t out_size = (s.rows + 3) * out_stride;
  const Guarded<float> out(out_size);
  const Guarded<float> residual(c.residual == Added::separate ? out_size : 0);
  const Guarded<float> accumulate(c.accumulate == Added::separate ? out_size : 0);
  const auto spread = [&](const std::vector<float>& from, const Guarded<float>& to) {
    for (std::size_t r = 0; r < s.rows; ++r) {
      std::copy_n(from.data() + r * layer.channels, layer.channels, to.data() + (r + 1) * out_stride);
    }
  };
  if (c.residual == Added::separate) spread(layer.residual, residual);
  if (c.residual == Added::in_place) spread(layer.residual, out);
  if (c.accumulate == Added::separate) spread(layer.accumulate, accumulate);
  if (c.accumulate == Added::in_place) spread(layer.accumulate, out);
  const std::vector<float> out_before(out.begin(), out.end());

  const Guarded<float> sums(2 * channel_stride);
  for (std::size_t o = 0; o < layer.channels; ++o) {
    sums[o] = static_cast<float>(o) - 7.0f;
    sums[channel_stride + o] = static_cast<float>(o) + 3.0f;
  }
  const std::vector<float> sums_before(sums.begin(), sums.end());

  const auto call = [&](std::size_t channel, std::size_t channels) {
    const auto rows_of = [&](Added added, const Guarded<float>& own) -> const float* {
      if (added == Added::nothing) return nullptr;
      return (added == Added::in_place ? out.data() : own.data()) + out_stride + channel;
    };
    product.conv({
        .input = input.data(),
        .input_stride = stride,
        .rows = s.rows,
        .row_step = s.row_step,
        .taps = s.taps,
        .dilation = s.dilation,
        .granules = layer.granules,
        .weights = weights.data() + channel * s.taps * row_bytes,
        .channels = channels,
        .channel_stride = channel_stride,
        .weight_scale = precision == Precision::int8 ? weight_scale.data() + channel : nullptr,
        .weight_sum = precision == Precision::int8 ? weight_sum.data() + channel : nullptr,
        .row_scale = precision == Precision::int8 ? row_scale.data() : nullptr,
        .bias = c.bare ? nullptr : bias.data() + channel,
        .residual = rows_of(c.residual, residual),
        .accumulate = rows_of(c.accumulate, accumulate),
        .gain = layer.gain,
        .out = out.data() + out_stride + channel,
        .out_stride = out_stride,
        .sums = c.sums ? sums.data() + channel : nullptr,
    });
  };
  if (c.in_parts && layer.channels > tile) {
    call(tile, layer.channels - tile);
    call(0, tile);
  } else {
    call(0, layer.channels);
  }

  for (const Guarded<float>* buffer : {&row_scale, &weight_scale, &bias, &out, &residual, &accumulate, &sums}) buffer->check();
  input.check();
  weights.check();
  weight_sum.check();
  std::vector<float> result;
  for (std::size_t i = 0; i < out_size; ++i) {
    const std::size_t row = i / out_stride;
    if (row >= 1 && row <= s.rows && i % out_stride < layer.channels) {
      result.push_back(out[i]);
    } else if (!same_bytes(&out[i], &out_before[i], sizeof(float))) {
      throw Failure("wrote outside its rows and channels: row " + std::to_string(row) + " of " + std::to_string(s.rows) +
                    ", channel " + std::to_string(i % out_stride) + " of " + std::to_string(layer.channels));
    }
  }
  if (c.sums) {
    check_sums(sums, out, c, layer, channel_stride, out_stride, sums_before);
  } else if (!same_bytes(sums.data(), sums_before.data(), sums.size() * sizeof(float))) {
    throw Failure("wrote sums that no one asked for");
  }
  return result;
}

// How far two correct results of the same real numbers may lie apart. The partial sums of n products of random sign grow
// like √n, and so does the number of roundings that survive: together n · 2⁻²⁴ times the deviation of one product (1/3 for
// factors uniform in ±1). Eight times that leaves room for both results and BFDOT's coarser rounding. Integer sums are
// exact; there the roundings are one a tap, of sums that are √staged in size, and those at the end.
double allowed(const Case& c, const Layer& layer, Precision precision) {
  if (c.numbers != Numbers::real) return 0.0;
  const auto n = static_cast<double>(c.shape.in * c.shape.taps);
  const double ends = 8.0 * 0x1p-24 * 4.0;
  if (precision == Precision::int8) {
    return ends + 8.0 * 0x1p-24 * static_cast<double>(c.shape.taps) * std::sqrt(static_cast<double>(layer.staged) *
                                                                             static_cast<double>(c.shape.taps)) / 3.0;
  }
  return ends + 8.0 * 0x1p-24 * n / 3.0;
}

std::string describe(const Case& c) {
  constexpr const char* kNumbers[] = {"whole", "real", "extreme"};
  constexpr const char* kAdded[] = {"no", "separate", "in-place"};
  const Shape& s = c.shape;
  return std::to_string(s.in) + "→" + std::to_string(s.out) + " channels, " + std::to_string(s.taps) + " taps, dilation " +
         std::to_string(s.dilation) + ", step " + std::to_string(s.row_step) + ", " + std::to_string(s.rows) + " rows, " +
         kNumbers[static_cast<int>(c.numbers)] + " numbers, " + kAdded[static_cast<int>(c.residual)] + " residual, " +
         kAdded[static_cast<int>(c.accumulate)] + " accumulate" + (c.sums ? ", sums" : "") + (c.in_parts ? ", in parts" : "") +
         (c.wide_rows ? ", wide rows" : "") + (c.bare ? ", bare" : "");
}

void run_case(const Run& run, Precision precision, const Case& c, std::uint64_t number) {
  set_case(std::string(run.table.name) + " conv, " + describe(c));
  Random random(run.seed + number);
  const Layer layer = make_layer(c, precision, random);
  const std::vector<float> got = run_kernel(c, layer, product(run.table, precision), precision);
  const std::vector<float> wanted = &run.table == &run.scalar
                                        ? formula(c, layer, precision)
                                        : run_kernel(c, layer, product(run.scalar, precision), precision);
  const double tolerance = allowed(c, layer, precision);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - static_cast<double>(wanted[i]));
    if (!(difference <= tolerance)) {
      throw Failure("row " + std::to_string(i / layer.channels) + ", channel " + std::to_string(i % layer.channels) + " is " +
                    std::to_string(got[i]) + ", not " + std::to_string(wanted[i]) + " ± " + std::to_string(tolerance));
    }
  }
}

// The convolutions of the model, with few rows where there are many channels; and, for an emulator, with some of the
// output channels, which are all alike.
std::vector<Shape> model_shapes(std::size_t products) {
  std::vector<Shape> shapes;
  const auto add = [&](std::size_t in, std::size_t out, std::size_t taps, std::size_t dilation = 1, std::size_t row_step = 1) {
    out = std::min(out, std::max<std::size_t>(112, products / (in * taps) / 16 * 16));
    const std::size_t rows = std::clamp<std::size_t>(products / (in * out * taps), 1, 13);
    shapes.push_back({in, out, taps, dilation, row_step, rows});
  };
  for (const std::size_t in : {514u, 1024u, 1090u}) add(in, 1024, 3);
  for (const std::size_t in : {1090u, 512u}) add(in, 512, 3);
  for (const std::size_t in : {514u, 1090u}) add(in, 1024, 1);
  add(1090, 512, 1);
  add(512, 64, 1);
  add(512, 2560, 2);
  add(256, 768, 2);
  add(22, 256, 12, 1, 6);
  add(22, 128, 1);
  add(128, 22, 7);
  for (const std::size_t channels : {128u, 256u}) {
    for (const std::size_t taps : {3u, 7u, 11u}) {
      for (const std::size_t dilation : {1u, 3u, 5u}) add(channels, channels, taps, dilation);
    }
  }
  return shapes;
}

}  // namespace

std::size_t test_conv(const Run& run, Precision precision) {
  std::vector<Case> cases;
  for (const Shape& shape : model_shapes(run.products)) {
    for (const Numbers numbers : {Numbers::whole, Numbers::real}) {
      Case c{.shape = shape, .numbers = numbers};
      c.residual = static_cast<Added>(cases.size() % 3);
      c.accumulate = c.residual == Added::in_place ? Added::separate : static_cast<Added>(cases.size() / 2 % 3);
      c.sums = cases.size() % 2 == 0;
      c.in_parts = cases.size() / 2 % 2 == 0;
      cases.push_back(c);
    }
  }
  // Rows that fill no tile, and the blocks' own number of them.
  for (const std::size_t rows : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 12u, 13u, 31u, 32u, 33u, 239u, 240u, 241u}) {
    for (const std::size_t step : {1u, 6u}) {
      cases.push_back({.shape = {16, 48, 3, 2, step, rows}, .numbers = Numbers::whole, .sums = true});
      cases.push_back({.shape = {16, 48, 3, 2, step, rows}, .numbers = Numbers::real, .residual = Added::in_place, .sums = true,
                       .wide_rows = true});
    }
  }
  // Channels that fill no panel.
  for (const std::size_t in : {16u, 48u, 80u, 112u}) {
    for (const std::size_t out : {16u, 22u, 48u, 64u, 80u, 112u, 144u, 176u}) {
      cases.push_back({.shape = {in, out, 2, 1, 1, 7}, .numbers = Numbers::whole, .sums = true, .in_parts = true});
    }
  }
  // Every way to add, also onto oneself.
  for (const Added residual : {Added::nothing, Added::separate, Added::in_place}) {
    for (const Added accumulate : {Added::nothing, Added::separate, Added::in_place}) {
      if (residual == Added::in_place && accumulate == Added::in_place) continue;
      for (const bool sums : {false, true}) {
        cases.push_back({.shape = {32, 80, 3, 3, 1, 13}, .numbers = Numbers::whole, .residual = residual,
                         .accumulate = accumulate, .sums = sums});
      }
    }
  }
  if (precision == Precision::float32) {
    for (const std::size_t rows : {1u, 5u, 6u, 7u, 30u, 31u}) {
      for (const std::size_t out : {16u, 48u, 64u, 80u}) {
        for (const Added accumulate : {Added::nothing, Added::separate, Added::in_place}) {
          cases.push_back({.shape = {48, out, 1, 1, 1, rows}, .numbers = Numbers::whole, .accumulate = accumulate,
                           .wide_rows = rows % 2 == 0, .bare = true});
        }
      }
    }
  }
  if (precision == Precision::int8) {
    for (const std::size_t channels : {128u, 256u, 1024u}) {
      cases.push_back({.shape = {channels, 80, 3, 1, 1, 7}, .numbers = Numbers::extreme});
    }
  }
  for (std::size_t i = 0; i < cases.size(); ++i) run_case(run, precision, cases[i], i);
  return cases.size();
}

}  // namespace koe::kernel_tests
