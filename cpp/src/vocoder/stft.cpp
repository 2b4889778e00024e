// SPDX-License-Identifier: Apache-2.0
#include "vocoder/stft.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace koe::vocoder {
namespace {

constexpr std::size_t kFramesPerTask = 512;
constexpr std::size_t kOverlap = kFft / kHop;
// Bins padded to whole vectors of four.
constexpr std::size_t kLanes = 12;

struct Tables {
  // Windowed DFT: bin k of a frame x is Σ_n x[n] · (forward_re[n][k] + i · forward_im[n][k]).
  // In double: where a bin holds little, the sign of its imaginary part decides between π and −π.
  double forward_re[kFft][kLanes] = {};
  double forward_im[kFft][kLanes] = {};
  // Windowed inverse DFT of a Hermitian spectrum: sample n is Σ_k re[k] · inverse_re[k][n] + im[k] · inverse_im[k][n].
  float inverse_re[kBins][kFft] = {};
  float inverse_im[kBins][kFft] = {};
  float window_squared[kFft] = {};

  Tables() {
    for (std::size_t n = 0; n < kFft; ++n) {
      const double window = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * static_cast<double>(n) / kFft);
      window_squared[n] = static_cast<float>(window * window);
      for (std::size_t k = 0; k < kBins; ++k) {
        const double angle = 2.0 * std::numbers::pi * static_cast<double>(n * k % kFft) / kFft;
        forward_re[n][k] = window * std::cos(angle);
        const bool real_bin = k == 0 || k == kBins - 1;
        forward_im[n][k] = real_bin ? 0.0 : -window * std::sin(angle);
        const double scale = window * (real_bin ? 1.0 : 2.0) / kFft;
        inverse_re[k][n] = static_cast<float>(scale * std::cos(angle));
        inverse_im[k][n] = real_bin ? 0.0f : static_cast<float>(-scale * std::sin(angle));
      }
    }
  }
};

const Tables& tables() {
  static const Tables t;
  return t;
}

std::size_t tasks(std::size_t frames) { return (frames + kFramesPerTask - 1) / kFramesPerTask; }

struct LogPolar {
  static void convert(const float* x, float* re, float* im) noexcept {
    for (std::size_t k = 0; k < kBins; ++k) {
      const float magnitude = std::exp(x[k]);
      const float phase = std::sin(x[kBins + k]);
      re[k] = magnitude * std::cos(phase);
      im[k] = magnitude * std::sin(phase);
    }
  }
};

struct Polar {
  static void convert(const float* x, float* re, float* im) noexcept {
    for (std::size_t k = 0; k < kBins; ++k) {
      re[k] = x[k] * std::cos(x[kBins + k]);
      im[k] = x[k] * std::sin(x[kBins + k]);
    }
  }
};

// Hop h of the output (centred: h = 2 … frames) overlaps frames h − 3 … h; a task does its hops from their frames, kept in a
// ring of four.
template <class Spectrum>
void inverse(ThreadPool& pool, const Frames& x, float* samples) {
  const Tables& t = tables();
  const std::size_t hops = x.rows - 1;
  pool.run(tasks(hops), [&](std::size_t task, std::size_t) {
    alignas(64) float ring[kOverlap][kFft];
    const std::size_t first = task * kFramesPerTask + kOverlap / 2;
    const std::size_t last = std::min(hops, (task + 1) * kFramesPerTask) + kOverlap / 2;
    const std::size_t oldest = first < kOverlap ? 0 : first - (kOverlap - 1);
    for (std::size_t frame = oldest; frame < last; ++frame) {
      if (frame < x.rows) {
        float re[kBins];
        float im[kBins];
        Spectrum::convert(x.row(frame), re, im);
        float* out = ring[frame % kOverlap];
        std::fill(out, out + kFft, 0.0f);
        for (std::size_t k = 0; k < kBins; ++k) {
          for (std::size_t n = 0; n < kFft; ++n) out[n] += re[k] * t.inverse_re[k][n] + im[k] * t.inverse_im[k][n];
        }
      }
      if (frame < first) continue;
      float* hop = samples + (frame - kOverlap / 2) * kHop;
      for (std::size_t i = 0; i < kHop; ++i) {
        float sum = 0.0f;
        float weight = 0.0f;
        for (std::size_t j = 0; j < kOverlap; ++j) {
          if (frame < j || frame - j >= x.rows) continue;
          sum += ring[(frame - j) % kOverlap][j * kHop + i];
          weight += t.window_squared[j * kHop + i];
        }
        hop[i] = sum / weight;
      }
    }
  });
}

}  // namespace

void stft(ThreadPool& pool, const float* samples, std::size_t n, const Frames& out) {
  constexpr std::size_t kPad = kFft / 2;
  const Tables& t = tables();
  pool.run(tasks(out.rows), [&](std::size_t task, std::size_t) {
    for (std::size_t f = task * kFramesPerTask; f < std::min(out.rows, (task + 1) * kFramesPerTask); ++f) {
      std::array<float, kFft> frame{};
      const std::size_t start = f * kHop;
      if (start >= kPad && start + kPad <= n) {
        std::copy_n(samples + start - kPad, kFft, frame.begin());
      } else {
        for (std::size_t i = 0; i < kFft; ++i) {
          const std::size_t at = start + i;
          const std::size_t mirrored = at < kPad ? kPad - at : at - kPad;
          frame[i] = samples[mirrored < n ? mirrored : 2 * (n - 1) - mirrored];
        }
      }
      // In a frame of equal samples every bin above the first is a sum that cancels.
      const bool constant = std::ranges::all_of(frame, [&](float x) { return x == frame[0]; });
      double re[kLanes] = {};
      double im[kLanes] = {};
      if (constant) {
        re[0] = static_cast<double>(frame[0]) * kFft / 2.0;
        re[1] = -re[0] / 2.0;
      } else {
        for (std::size_t i = 0; i < kFft; ++i) {
          const auto x = static_cast<double>(frame[i]);
          for (std::size_t k = 0; k < kLanes; ++k) {
            re[k] += x * t.forward_re[i][k];
            im[k] += x * t.forward_im[i][k];
          }
        }
      }
      float* row = out.row(f);
      for (std::size_t k = 0; k < kBins; ++k) {
        row[k] = static_cast<float>(std::sqrt(re[k] * re[k] + im[k] * im[k]));
        row[kBins + k] = std::atan2(static_cast<float>(im[k]), static_cast<float>(re[k]));
      }
      std::fill(row + 2 * kBins, row + out.stride, 0.0f);
    }
  });
}

void istft_of_log(ThreadPool& pool, const Frames& x, float* samples) { inverse<LogPolar>(pool, x, samples); }

void istft(ThreadPool& pool, const Frames& x, float* samples) { inverse<Polar>(pool, x, samples); }

void exponential_and_sine(ThreadPool& pool, const Frames& x) {
  pool.run(tasks(x.rows), [&](std::size_t task, std::size_t) {
    for (std::size_t f = task * kFramesPerTask; f < std::min(x.rows, (task + 1) * kFramesPerTask); ++f) {
      float* row = x.row(f);
      for (std::size_t k = 0; k < kBins; ++k) {
        row[k] = std::exp(row[k]);
        row[kBins + k] = std::sin(row[kBins + k]);
      }
    }
  });
}

}  // namespace koe::vocoder
