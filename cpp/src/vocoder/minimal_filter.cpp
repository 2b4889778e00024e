// SPDX-License-Identifier: Apache-2.0
#include "vocoder/minimal_filter.hpp"

#include <array>
#include <cmath>

namespace koe::vocoder {
namespace {

// Coefficients, lowest first, of Π (y − b²) over the pairs but one.
std::vector<double> product_of_squares(const std::vector<double>& pairs, std::size_t without) {
  std::vector<double> poly{1.0};
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i == without) continue;
    std::vector<double> next(poly.size() + 1, 0.0);
    for (std::size_t k = 0; k < poly.size(); ++k) {
      next[k] -= poly[k] * pairs[i] * pairs[i];
      next[k + 1] += poly[k];
    }
    poly = std::move(next);
  }
  return poly;
}

double balance(const std::vector<double>& row, double factor) {
  double sum = 0.0;
  for (const double x : row) sum += std::abs(x);
  return std::exp2(-std::round(std::log2(sum * factor)));
}

}  // namespace

const MinimalFilter* MinimalFilter::find(std::size_t taps) {
  static const std::array<MinimalFilter, 3> filters{
      MinimalFilter(3, {0.375, 0.78125, 1.3125, 2.5}),
      MinimalFilter(7, {0.25, 0.5625, 0.84375, 1.1875, 1.6875, 2.96875}),
      MinimalFilter(11, {0.25, 0.4375, 0.71875, 0.875, 1.15625, 1.34375, 2.0625, 3.03125}),
  };
  for (const MinimalFilter& filter : filters) {
    if (filter.taps_ == taps) return &filter;
  }
  return nullptr;
}

MinimalFilter::MinimalFilter(std::size_t taps, std::vector<double> pairs) : taps_(taps), pairs_(std::move(pairs)) {
  const std::size_t n = pairs_.size();
  // At 0 and ∞: Π (x² − a²), and x times it. Their values of the taps are the first tap over that product at 0, and the last.
  const std::vector<double> all = product_of_squares(pairs_, n);
  const double scale = balance(all, 1.0);
  for (const double z : all) in_.push_back(static_cast<float>(scale * z));
  weights_.assign(points() * taps_, 0.0);
  weights_[0] = 1.0 / (all[0] * scale);
  weights_[points() * taps_ - 1] = 1.0 / scale;
  tap_matrix_ = {static_cast<float>(weights_.front()), static_cast<float>(weights_.back())};
  for (std::size_t p = 0; p < n; ++p) {
    // At ±a: x · (x ± a) · R(x²), R over the other pairs. The product of the point's distances to the others is
    // ±a · ±2a · R(a²).
    const double a = pairs_[p];
    const std::vector<double> rest = product_of_squares(pairs_, p);
    const double s = balance(rest, 1.0 + a);
    double at_point = 0.0;
    for (std::size_t k = rest.size(); k-- > 0;) at_point = at_point * a * a + rest[k];
    for (const double r : rest) in_.push_back(static_cast<float>(s * r));
    in_.push_back(static_cast<float>(a));
    double power = 1.0;
    for (std::size_t j = 0; j < kOut; ++j, power *= a) powers_.push_back(static_cast<float>(power));
    for (const double sign : {1.0, -1.0}) {
      double* row = weights_.data() + (2 * p + (sign > 0.0 ? 1 : 2)) * taps_;
      double value = 1.0 / (2.0 * a * a * at_point * s);
      for (std::size_t i = 0; i < taps_; ++i, value *= sign * a) row[i] = value;
      if (sign > 0.0) tap_matrix_.insert(tap_matrix_.end(), row, row + taps_);
    }
  }
}

void MinimalFilter::transform(const float* weights, float* values) const noexcept {
  for (std::size_t p = 0; p < points(); ++p) {
    double sum = 0.0;
    for (std::size_t i = 0; i < taps_; ++i) sum += weights_[p * taps_ + i] * static_cast<double>(weights[i]);
    values[p] = static_cast<float>(sum);
  }
}

}  // namespace koe::vocoder
