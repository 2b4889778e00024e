// SPDX-License-Identifier: Apache-2.0
// The parts of minimal filtering against their formulas in double. Matrices and points are random: what the kernels
// compute is linear in them, and that the real ones make a convolution is the vocoder's to show.
#include <cmath>
#include <vector>

#include "memory.hpp"
#include "tests.hpp"

namespace koe::kernel_tests {
namespace {

constexpr std::size_t kOut = 8;

struct Case {
  int pairs;
  std::size_t dilation;
  std::size_t groups;  // of dilation tiles each
  std::size_t channels;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int pairs : {4, 6, 8}) {
    for (const std::size_t dilation : {1u, 3u, 5u}) {
      for (const std::size_t channels : {16u, 48u, 128u, 256u}) {
        for (const std::size_t groups : {1u, 2u, 5u}) all.push_back({pairs, dilation, groups, channels});
      }
    }
  }
  return all;
}

void name_case(const Run& run, const char* function, const Case& c) {
  set_case(std::string(run.table.name) + " " + function + ", " + std::to_string(c.pairs) + " pairs, dilation " +
           std::to_string(c.dilation) + ", " + std::to_string(c.groups) + " groups, " + std::to_string(c.channels) + " channels");
}

void fill(const Guarded<float>& to, Random& random) {
  for (float& x : to) x = random.uniform(-1.0f, 1.0f);
}

// A sum in double and the magnitude of its terms, from which the rounding of any order follows (Higham 2002, §4.2).
struct Sum {
  double value = 0.0;
  double magnitude = 0.0;
  void add(double term) {
    value += term;
    magnitude += std::abs(term);
  }
};

void compare(double got, const Sum& wanted, std::size_t terms, const std::string& where) {
  const double allowed = static_cast<double>(terms) * 0x1p-24 * wanted.magnitude;
  if (!(std::abs(got - wanted.value) <= allowed)) {
    throw Failure(where + " is " + std::to_string(got) + ", not " + std::to_string(wanted.value) + " ± " + std::to_string(allowed));
  }
}

}  // namespace

std::size_t test_filter_in(const Run& run) {
  std::uint64_t number = 0;
  for (const Case& c : cases()) {
    name_case(run, "filter_in", c);
    Random random(run.seed + number++);
    const auto pairs = static_cast<std::size_t>(c.pairs);
    const std::size_t points = 2 * pairs + 2;
    const std::size_t tiles = c.groups * c.dilation;
    const std::size_t stride = c.channels + 16;
    const std::size_t rows = (c.groups * kOut + points - kOut) * c.dilation;
    const Guarded<float> x(rows * stride - 16);
    const Guarded<float> matrix((pairs + 1) * (pairs + 1));
    fill(x, random);
    fill(matrix, random);
    const std::size_t point_stride = tiles * c.channels + 16;
    const Guarded<float> out(points * point_stride - 16);
    run.table.filter_in({.x = x.data(), .x_stride = stride, .dilation = c.dilation, .tiles = tiles, .channels = c.channels,
                         .pairs = c.pairs, .matrix = matrix.data(), .out = out.data(), .point_stride = point_stride});
    for (const Guarded<float>* buffer : {&x, &matrix, &out}) buffer->check();
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t row = tile / c.dilation * kOut * c.dilation + tile % c.dilation;
      for (std::size_t channel = 0; channel < c.channels; ++channel) {
        const auto input = [&](std::size_t i) { return static_cast<double>(x[(row + i * c.dilation) * stride + channel]); };
        for (std::size_t point = 0; point < points; ++point) {
          Sum sum;
          if (point == 0 || point + 1 == points) {
            for (std::size_t k = 0; k <= pairs; ++k) sum.add(static_cast<double>(matrix[k]) * input(2 * k + (point == 0 ? 0 : 1)));
          } else {
            const float* r = matrix.data() + (pairs + 1) * (1 + (point - 1) / 2);
            const double a = static_cast<double>(r[pairs]) * (point % 2 == 1 ? 1.0 : -1.0);
            for (std::size_t k = 0; k < pairs; ++k) {
              sum.add(static_cast<double>(r[k]) * input(2 * k + 2));
              sum.add(static_cast<double>(r[k]) * a * input(2 * k + 1));
            }
          }
          compare(static_cast<double>(out[point * point_stride + tile * c.channels + channel]), sum, 2 * pairs + 4,
                  "point " + std::to_string(point) + " of tile " + std::to_string(tile) + ", channel " + std::to_string(channel));
        }
      }
    }
    // What lies between the points is not the kernel's.
    for (std::size_t point = 0; point + 1 < points; ++point) {
      for (std::size_t i = tiles * c.channels; i < point_stride; ++i) {
        if (!std::isnan(out[point * point_stride + i])) throw Failure("wrote between the points");
      }
    }
  }
  return number;
}

std::size_t test_filter_weights(const Run& run) {
  std::uint64_t number = 0;
  for (const std::size_t pairs : {4u, 6u, 8u}) {
    for (const std::size_t values : {16u, 32u, 48u, 64u}) {
      for (const std::size_t lines : {1u, 16u, 67u}) {
        set_case(std::string(run.table.name) + " filter_weights, " + std::to_string(pairs) + " pairs, " + std::to_string(lines) +
                 " lines, " + std::to_string(values) + " values");
        Random random(run.seed + number++);
        const std::size_t points = 2 * pairs + 2;
        const std::size_t taps = points + 1 - kOut;
        const std::size_t tap_stride = lines * values + 32;
        const Guarded<std::int8_t> q(taps * tap_stride - 32);
        for (std::int8_t& x : q) x = static_cast<std::int8_t>(random.integer(-128, 127));
        const Guarded<float> scale(values);
        const Guarded<float> zero(values);
        const Guarded<float> matrix(2 + pairs * taps);
        for (float& x : scale) x = random.uniform(0.0f, 0.1f);
        for (float& x : zero) x = static_cast<float>(random.integer(-128, 127));
        fill(matrix, random);
        const Guarded<float> out(points * lines * values);
        run.table.filter_weights({.q = q.data(), .tap_stride = tap_stride, .lines = lines, .values = values, .scale = scale.data(),
                                  .zero = zero.data(), .pairs = static_cast<int>(pairs), .matrix = matrix.data(),
                                  .out = out.data()});
        q.check();
        for (const Guarded<float>* buffer : {&scale, &zero, &matrix, &out}) buffer->check();
        for (std::size_t i = 0; i < lines * values; ++i) {
          const std::size_t v = i % values;
          for (std::size_t point = 0; point < points; ++point) {
            Sum sum;
            for (std::size_t tap = 0; tap < taps; ++tap) {
              const double w = static_cast<double>(static_cast<float>(q[tap * tap_stride + i]) - zero[v]) * static_cast<double>(scale[v]);
              if (point == 0 || point + 1 == points) {
                if (tap == (point == 0 ? 0 : taps - 1)) sum.add(w * static_cast<double>(matrix[point == 0 ? 0 : 1]));
              } else {
                const double m = static_cast<double>(matrix[2 + (point - 1) / 2 * taps + tap]);
                sum.add(w * m * (point % 2 == 0 && tap % 2 == 1 ? -1.0 : 1.0));
              }
            }
            compare(static_cast<double>(out[point * lines * values + i]), sum, taps + 3,
                    "point " + std::to_string(point) + " of line " + std::to_string(i / values) + ", value " + std::to_string(v));
          }
        }
      }
    }
  }
  return number;
}

std::size_t test_filter_out(const Run& run) {
  std::uint64_t number = 0;
  for (const Case& c : cases()) {
    for (const std::size_t missing : {0u, 1u, 7u}) {
      name_case(run, "filter_out", c);
      Random random(run.seed + number++);
      const auto pairs = static_cast<std::size_t>(c.pairs);
      const std::size_t points = 2 * pairs + 2;
      const std::size_t tiles = c.groups * c.dilation;
      const std::size_t rows = tiles * kOut - std::min(missing, tiles * kOut - 1);
      const std::size_t product_stride = c.channels;
      const std::size_t point_stride = tiles * product_stride + 16;
      const Guarded<float> products(points * point_stride - 16);
      const Guarded<float> powers(pairs * kOut);
      const Guarded<float> bias(c.channels);
      const std::size_t out_stride = c.channels + 32;
      const std::size_t n = rows * out_stride - 32;
      const Guarded<float> residual(n);
      const Guarded<float> accumulate(n);
      const Guarded<float> out(n);
      const Guarded<float> sums(2 * c.channels);
      for (const Guarded<float>* buffer : {&products, &powers, &bias, &residual, &accumulate, &sums}) fill(*buffer, random);
      const std::vector<float> before(sums.begin(), sums.end());
      const bool has_residual = random.integer(0, 1) == 1;
      const bool has_accumulate = random.integer(0, 1) == 1;
      const bool has_sums = random.integer(0, 1) == 1;
      const float gain = random.uniform(0.2f, 2.0f);
      run.table.filter_out({.products = products.data(), .point_stride = point_stride, .product_stride = product_stride,
                            .dilation = c.dilation, .tiles = tiles, .channels = c.channels, .pairs = c.pairs,
                            .powers = powers.data(), .rows = rows, .bias = bias.data(),
                            .residual = has_residual ? residual.data() : nullptr,
                            .accumulate = has_accumulate ? accumulate.data() : nullptr, .gain = gain, .out = out.data(),
                            .out_stride = out_stride, .sums = has_sums ? sums.data() : nullptr, .channel_stride = c.channels});
      for (const Guarded<float>* buffer : {&products, &powers, &bias, &residual, &accumulate, &out, &sums}) buffer->check();
      for (std::size_t channel = 0; channel < c.channels; ++channel) {
        Sum sum;
        Sum square;
        sum.add(static_cast<double>(before[channel]));
        square.add(static_cast<double>(before[c.channels + channel]));
        for (std::size_t row = 0; row < rows; ++row) {
          const std::size_t tile = row / (kOut * c.dilation) * c.dilation + row % c.dilation;
          const std::size_t j = row / c.dilation % kOut;
          const auto product = [&](std::size_t point) {
            return static_cast<double>(products[point * point_stride + tile * product_stride + channel]);
          };
          Sum y;
          y.add(static_cast<double>(bias[channel]));
          if (j == 0) y.add(product(0));
          if (j + 1 == kOut) y.add(product(points - 1));
          for (std::size_t pair = 0; pair < pairs; ++pair) {
            const double power = static_cast<double>(powers[pair * kOut + j]);
            y.add(power * product(2 * pair + 1));
            y.add(power * product(2 * pair + 2) * (j % 2 == 0 ? 1.0 : -1.0));
          }
          const std::size_t at = row * out_stride + channel;
          if (has_residual) y.add(static_cast<double>(residual[at]));
          if (has_accumulate) y.add(static_cast<double>(accumulate[at]));
          y.value *= static_cast<double>(gain);
          y.magnitude *= static_cast<double>(gain);
          const auto got = static_cast<double>(out[at]);
          compare(got, y, 2 * pairs + 8, "row " + std::to_string(row) + ", channel " + std::to_string(channel));
          sum.add(got);
          square.add(got * got);
        }
        if (has_sums) {
          compare(static_cast<double>(sums[channel]), sum, rows + 3, "the sum of channel " + std::to_string(channel));
          compare(static_cast<double>(sums[c.channels + channel]), square, rows + 3, "the squares of channel " + std::to_string(channel));
        } else if (sums[channel] != before[channel]) {
          throw Failure("wrote sums that were not asked for");
        }
      }
      for (std::size_t i = 0; i < n; ++i) {
        if (i % out_stride >= c.channels && !std::isnan(out[i])) throw Failure("wrote beside its channels");
      }
    }
  }
  return number;
}

}  // namespace koe::kernel_tests
