// SPDX-License-Identifier: Apache-2.0
// Mixing is done in double and rounded once, so that a mix of one voice is that voice, bit by bit.
#include <cmath>
#include <stdexcept>
#include <string>

#include "koe/style.hpp"

namespace koe {
namespace {

constexpr double kParallel = 1e-6;  // rad; below it sin(angle) has too few digits to divide by

void check(std::span<const float> a, std::span<const float> b, double t) {
  if (a.size() != b.size()) {
    throw std::invalid_argument("interpolation between " + std::to_string(a.size()) + " and " + std::to_string(b.size()) +
                                " style values");
  }
  if (!(t >= 0 && t <= 1)) throw std::invalid_argument("interpolation at t = " + std::to_string(t) + "; 0 ≤ t ≤ 1");
}

void lerp_into(std::span<const float> a, std::span<const float> b, double t, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>((1 - t) * static_cast<double>(a[i]) + t * static_cast<double>(b[i]));
  }
}

double norm(std::span<const float> x) {
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

void slerp_into(std::span<const float> a, std::span<const float> b, double t, std::span<float> out) {
  const double norm_a = norm(a);
  const double norm_b = norm(b);
  if (t == 0 || t == 1 || norm_a == 0 || norm_b == 0) return lerp_into(a, b, t, out);
  // The angle by Kahan's half-angle form: acos loses half of the digits for voices close to each other.
  double difference = 0;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double u = static_cast<double>(a[i]) / norm_a;
    const double v = static_cast<double>(b[i]) / norm_b;
    difference += (u - v) * (u - v);
    sum += (u + v) * (u + v);
  }
  const double angle = 2 * std::atan2(std::sqrt(difference), std::sqrt(sum));
  const double sine = std::sin(angle);
  if (sine < kParallel) return lerp_into(a, b, t, out);
  const double length = (1 - t) * norm_a + t * norm_b;
  const double weight_a = std::sin((1 - t) * angle) / sine * length / norm_a;
  const double weight_b = std::sin(t * angle) / sine * length / norm_b;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(weight_a * static_cast<double>(a[i]) + weight_b * static_cast<double>(b[i]));
  }
}

}  // namespace

StylePack mix(std::span<const StylePack> packs, std::span<const double> weights) {
  if (packs.empty()) throw std::invalid_argument("mix of no voices");
  if (packs.size() != weights.size()) {
    throw std::invalid_argument("mix of " + std::to_string(packs.size()) + " voices with " + std::to_string(weights.size()) +
                                " weights");
  }
  double total = 0;
  for (std::size_t i = 0; i < packs.size(); ++i) {
    if (!(weights[i] >= 0) || !std::isfinite(weights[i])) {
      throw std::invalid_argument("mix: weight " + std::to_string(i) + " is " + std::to_string(weights[i]) +
                                  "; weights are finite and not negative");
    }
    if (packs[i].n_rows() != packs[0].n_rows()) {
      throw std::invalid_argument("mix of voices with " + std::to_string(packs[0].n_rows()) + " and " +
                                  std::to_string(packs[i].n_rows()) + " rows: they belong to different models");
    }
    total += weights[i];
  }
  if (!(total > 0) || !std::isfinite(total)) throw std::invalid_argument("mix: the weights sum to " + std::to_string(total));

  std::vector<double> sums(packs[0].values().size());
  for (std::size_t i = 0; i < packs.size(); ++i) {
    const double weight = weights[i] / total;
    const auto values = packs[i].values();
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += weight * static_cast<double>(values[k]);
  }
  return StylePack::from_values(std::vector<float>(sums.begin(), sums.end()));
}

std::vector<float> lerp(std::span<const float> a, std::span<const float> b, double t) {
  check(a, b, t);
  std::vector<float> out(a.size());
  lerp_into(a, b, t, out);
  return out;
}

std::vector<float> slerp(std::span<const float> a, std::span<const float> b, double t) {
  check(a, b, t);
  std::vector<float> out(a.size());
  slerp_into(a, b, t, out);
  return out;
}

StylePack lerp(const StylePack& a, const StylePack& b, double t) {
  return StylePack::from_values(lerp(a.values(), b.values(), t));
}

StylePack slerp(const StylePack& a, const StylePack& b, double t) {
  check(a.values(), b.values(), t);
  std::vector<float> out(a.values().size());
  for (std::size_t row = 0; row < a.n_rows(); ++row) {
    slerp_into(a.row(row), b.row(row), t, std::span(out).subspan(row * kStyleSize, kStyleSize));
  }
  return StylePack::from_values(std::move(out));
}

}  // namespace koe
