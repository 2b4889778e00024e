// SPDX-License-Identifier: Apache-2.0
// Staging, expanding and column sums. Staging without a normalisation must give the scalar table's very bytes, so that
// rounding (ties to even) and layout are the same; with one, what it stands for must lie as near the formula as the precision
// can say it.
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "memory.hpp"
#include "tests.hpp"

namespace koe::kernel_tests {
namespace {

using kernels::Activation;
using kernels::Precision;
using kernels::Product;

struct Case {
  std::size_t rows;
  std::size_t channels;
  Activation activation = Activation::none;
  bool plain = false;  ///< scale 1, shift 0, numbers that show how ties are rounded
};

struct Inputs {
  std::size_t stride;
  std::vector<float> x;  // [rows][stride]
  std::vector<float> scale;
  std::vector<float> shift;
  std::vector<float> alpha;
  float slope;
};

// Halves for int8 under a peak of 127, which makes the scale 1; halfway between two neighbours for bfloat16.
float tie(Precision precision, Random& random, bool peak) {
  if (precision == Precision::int8) {
    return peak ? 127.0f : static_cast<float>(random.integer(-253, 253)) * 0.5f;
  }
  const float x = random.uniform(-4.0f, 4.0f);
  if (precision == Precision::float32 || std::abs(x) < 1e-6f) return x;
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = random.integer(0, 1) == 0 ? bits : (bits & 0xffff0000u) | 0x8000u;
  float y;
  std::memcpy(&y, &bits, sizeof y);
  return y;
}

Inputs make_inputs(const Case& c, Precision precision, Random& random) {
  Inputs in;
  in.stride = c.channels + 16;
  in.x.resize(c.rows * in.stride);
  for (std::size_t i = 0; i < in.x.size(); ++i) {
    const std::size_t row = i / in.stride;
    // The third row of a plain case is silent: nothing to scale by.
    in.x[i] = !c.plain ? random.uniform(-4.0f, 4.0f) : row == 2 ? 0.0f : tie(precision, random, i % in.stride == row % c.channels);
  }
  for (std::size_t i = 0; i < c.channels; ++i) {
    in.scale.push_back(c.plain ? 1.0f : random.uniform(-2.0f, 2.0f));
    in.shift.push_back(c.plain ? 0.0f : random.uniform(-1.0f, 1.0f));
    in.alpha.push_back(random.uniform(0.05f, 20.0f));
  }
  in.slope = random.uniform(0.01f, 0.3f);
  return in;
}

struct Staged {
  std::vector<std::byte> bytes;  // [rows][channels]
  std::vector<float> row_scale;
};

Staged run_kernel(const Case& c, const Inputs& in, const Product& product, Precision precision) {
  const std::size_t bytes = precision == Precision::float32 ? 4 : precision == Precision::bfloat16 ? 2 : 1;
  const auto guarded = [](const std::vector<float>& from, const Guarded<float>& to) {
    std::copy(from.begin(), from.end(), to.begin());
  };
  const Guarded<float> x(c.rows * in.stride - 16);
  std::copy_n(in.x.begin(), x.size(), x.begin());
  const Guarded<float> scale(c.channels);
  const Guarded<float> shift(c.channels);
  const Guarded<float> alpha_over_pi(c.channels);
  const Guarded<float> inverse_alpha(c.channels);
  guarded(in.scale, scale);
  guarded(in.shift, shift);
  for (std::size_t i = 0; i < c.channels; ++i) {
    alpha_over_pi[i] = static_cast<float>(static_cast<double>(in.alpha[i]) / std::numbers::pi);
    inverse_alpha[i] = 1.0f / in.alpha[i];
  }
  const bool snake = c.activation == Activation::snake;
  const std::size_t stride = round_up(c.channels * bytes, 64) + 64;
  const Guarded<std::byte> out((c.rows + 2) * stride);
  const Guarded<float> row_scale(c.rows);
  product.stage({
      .x = x.data(),
      .x_stride = in.stride,
      .rows = c.rows,
      .channels = c.channels,
      .scale = scale.data(),
      .shift = shift.data(),
      .activation = c.activation,
      .slope = in.slope,
      .alpha_over_pi = snake ? alpha_over_pi.data() : nullptr,
      .inverse_alpha = snake ? inverse_alpha.data() : nullptr,
      .out = out.data() + stride,
      .out_stride = stride,
      .row_scale = precision == Precision::int8 ? row_scale.data() : nullptr,
  });
  for (const Guarded<float>* buffer : {&x, &scale, &shift, &alpha_over_pi, &inverse_alpha, &row_scale}) buffer->check();
  out.check();
  Staged staged;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t row = i / stride;
    if (row >= 1 && row <= c.rows && i % stride < c.channels * bytes) {
      staged.bytes.push_back(out[i]);
    } else if (out[i] != std::byte{0xff}) {
      throw Failure("wrote outside its rows and channels: row " + std::to_string(row) + " of " + std::to_string(c.rows) + ", byte " +
                    std::to_string(i % stride) + " of " + std::to_string(c.channels * bytes));
    }
  }
  staged.row_scale.assign(row_scale.begin(), row_scale.end());
  return staged;
}

// What a staged value stands for.
double value(const Staged& staged, std::size_t i, std::size_t channels, const Product& product, Precision precision) {
  if (precision == Precision::int8) {
    const int byte = std::to_integer<int>(staged.bytes[i]);
    // A staged 0 of 0 means signed bytes.
    const int q = product.zero == 0 ? static_cast<std::int8_t>(byte) : byte - product.zero;
    return static_cast<double>(staged.row_scale[i / channels]) * q;
  }
  std::uint32_t bits = 0;
  if (precision == Precision::bfloat16) {
    std::uint16_t h;
    std::memcpy(&h, &staged.bytes[i * 2], sizeof h);
    bits = static_cast<std::uint32_t>(h) << 16;
  } else {
    std::memcpy(&bits, &staged.bytes[i * 4], sizeof bits);
  }
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return static_cast<double>(x);
}

struct Wanted {
  double value;
  double allowed;  // before the precision's own rounding
};

Wanted formula(const Case& c, const Inputs& in, std::size_t row, std::size_t channel, Precision precision) {
  const auto x = static_cast<double>(in.x[row * in.stride + channel]);
  const auto scale = static_cast<double>(in.scale[channel]);
  const auto shift = static_cast<double>(in.shift[channel]);
  const double y = x * scale + shift;
  const double rounding = 0x1p-24 * 4.0 * (std::abs(x * scale) + std::abs(shift));
  if (c.activation == Activation::none) return {y, rounding};
  if (c.activation == Activation::leaky) return {std::max(y, y * static_cast<double>(in.slope)), rounding};
  const auto alpha = static_cast<double>(in.alpha[channel]);
  const double s = std::sin(alpha * y);
  // y's error is at most doubled (the slope of snake is 1 + sin 2αy), turns·2⁻²⁴ of a turn is y·2⁻²⁴ again, and the
  // polynomial's own, 2⁻²² with five terms and 7e-5 with three, is that of sin, squared.
  const double sine = precision == Precision::float32 ? 0x1p-22 : 7.5e-5;
  return {y + s * s / alpha, 4.0 * rounding + 0x1p-22 * std::abs(y) + 2.0 * sine / alpha};
}

void run_case(const Run& run, Precision precision, const Case& c, std::uint64_t number) {
  constexpr const char* kActivations[] = {"none", "leaky", "snake"};
  set_case(std::string(run.table.name) + " stage, " + std::to_string(c.rows) + " rows, " + std::to_string(c.channels) +
           " channels, activation " + kActivations[static_cast<int>(c.activation)] + (c.plain ? ", plain" : ""));
  Random random(run.seed + number);
  const Inputs in = make_inputs(c, precision, random);
  const Product& kernels = product(run.table, precision);
  const Staged staged = run_kernel(c, in, kernels, precision);
  const auto wrong = [&](std::size_t i, double got, double wanted, double allowed) {
    throw Failure("row " + std::to_string(i / c.channels) + ", channel " + std::to_string(i % c.channels) + " stands for " +
                  std::to_string(got) + ", not " + std::to_string(wanted) + " ± " + std::to_string(allowed));
  };
  if (c.plain) {
    const Product& scalar = product(run.scalar, precision);
    const Staged reference = run_kernel(c, in, scalar, precision);
    for (std::size_t i = 0; i < c.rows * c.channels; ++i) {
      const double got = value(staged, i, c.channels, kernels, precision);
      const double wanted = value(reference, i, c.channels, scalar, precision);
      if (got != wanted) wrong(i, got, wanted, 0.0);
    }
  }
  for (std::size_t i = 0; i < c.rows * c.channels; ++i) {
    Wanted wanted = formula(c, in, i / c.channels, i % c.channels, precision);
    if (precision == Precision::bfloat16) wanted.allowed += 0x1p-8 * std::abs(wanted.value);
    if (precision == Precision::int8) wanted.allowed += 0.5001 * static_cast<double>(staged.row_scale[i / c.channels]);
    const double got = value(staged, i, c.channels, kernels, precision);
    if (!(std::abs(got - wanted.value) <= wanted.allowed)) wrong(i, got, wanted.value, wanted.allowed);
  }
  if (precision != Precision::int8) return;
  // The row's largest magnitude takes the whole range.
  for (std::size_t r = 0; r < c.rows; ++r) {
    double peak = 0.0;
    double error = 0.0;
    for (std::size_t i = 0; i < c.channels; ++i) {
      const Wanted wanted = formula(c, in, r, i, precision);
      peak = std::max(peak, std::abs(wanted.value));
      error = std::max(error, wanted.allowed);
    }
    const auto got = static_cast<double>(staged.row_scale[r]) * 127.0;
    if (!(std::abs(got - peak) <= error + peak * 0x1p-22 + 1e-19)) {
      throw Failure("the scale of row " + std::to_string(r) + " is that of a peak of " + std::to_string(got) + ", not " +
                    std::to_string(peak));
    }
  }
}

}  // namespace

std::size_t test_stage(const Run& run, Precision precision) {
  std::vector<Case> cases;
  const auto add = [&](std::size_t rows, std::size_t channels) {
    cases.push_back({.rows = rows, .channels = channels, .plain = true});
    for (const Activation activation : {Activation::none, Activation::leaky, Activation::snake}) {
      cases.push_back({.rows = rows, .channels = channels, .activation = activation});
    }
  };
  for (const std::size_t channels : {16u, 32u, 48u, 64u, 80u, 112u, 128u, 256u, 512u, 576u, 1024u, 1152u}) add(5, channels);
  for (const std::size_t rows : {1u, 2u, 3u, 4u, 6u, 7u, 8u, 9u, 10u, 11u, 12u, 13u, 239u, 240u, 241u}) add(rows, 48);
  for (std::size_t i = 0; i < cases.size(); ++i) run_case(run, precision, cases[i], i);
  return cases.size();
}

// Each value is (q − zero) · scale rounded once, so nothing is left to tolerate.
std::size_t test_expand(const Run& run) {
  std::size_t cases = 0;
  for (const std::size_t values : {16u, 32u, 48u, 64u, 96u, 128u}) {
    for (const std::size_t lines : {1u, 2u, 3u, 16u, 67u, 1728u}) {
      set_case(std::string(run.table.name) + " expand, " + std::to_string(lines) + " lines, " + std::to_string(values) + " values");
      Random random(run.seed + cases++);
      const Guarded<std::int8_t> q(lines * values);
      for (std::int8_t& value : q) value = static_cast<std::int8_t>(random.integer(-128, 127));
      const Guarded<float> scale(values);
      for (float& value : scale) value = random.uniform(0.0f, 0.1f);
      const Guarded<float> zero(values);
      for (float& value : zero) value = static_cast<float>(random.integer(-128, 127));
      const Guarded<float> out(lines * values);
      run.table.expand({
          .q = q.data(), .lines = lines, .values = values, .scale = scale.data(), .zero = zero.data(), .out = out.data()});
      q.check();
      scale.check();
      zero.check();
      out.check();
      for (std::size_t i = 0; i < q.size(); ++i) {
        const float value = (static_cast<float>(q[i]) - zero[i % values]) * scale[i % values];
        if (out[i] != value) {
          throw Failure("line " + std::to_string(i / values) + ", value " + std::to_string(i % values) + " is " +
                        std::to_string(out[i]) + ", not " + std::to_string(value));
        }
      }
    }
  }
  return cases;
}

std::size_t test_sums(const Run& run) {
  std::size_t cases = 0;
  for (const std::size_t channels : {16u, 48u, 80u, 112u, 128u, 256u, 512u, 1024u}) {
    for (const std::size_t rows : {0u, 1u, 2u, 3u, 5u, 8u, 13u, 239u, 240u, 241u}) {
      set_case(std::string(run.table.name) + " sums, " + std::to_string(rows) + " rows, " + std::to_string(channels) + " channels");
      Random random(run.seed + cases++);
      const std::size_t stride = channels + 16;
      const Guarded<float> x(rows == 0 ? 0 : rows * stride - 16);
      for (float& value : x) value = random.uniform(-2.0f, 2.0f);
      const Guarded<float> sums(2 * channels);
      for (float& value : sums) value = random.uniform(0.0f, 9.0f);
      const std::vector<float> before(sums.begin(), sums.end());
      run.table.sums(x.data(), stride, rows, channels, sums.data());
      x.check();
      sums.check();
      for (std::size_t c = 0; c < channels; ++c) {
        auto sum = static_cast<double>(before[c]);
        auto square = static_cast<double>(before[channels + c]);
        double magnitude = std::abs(sum);
        for (std::size_t r = 0; r < rows; ++r) {
          const auto value = static_cast<double>(x[r * stride + c]);
          sum += value;
          magnitude += std::abs(value);
          square += value * value;
        }
        // n roundings of the sum of magnitudes at most, whatever the order (Higham 2002, §4.2).
        const double rounding = static_cast<double>(rows + 3) * 0x1p-24;
        const double error = std::abs(static_cast<double>(sums[c]) - sum);
        const double square_error = std::abs(static_cast<double>(sums[channels + c]) - square);
        if (!(error <= rounding * magnitude && square_error <= rounding * square)) {
          throw Failure("the sums of channel " + std::to_string(c) + " are " + std::to_string(sums[c]) + " and " +
                        std::to_string(sums[channels + c]) + ", not " + std::to_string(sum) + " and " + std::to_string(square));
        }
      }
    }
  }
  return cases;
}

}  // namespace koe::kernel_tests
