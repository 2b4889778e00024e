// SPDX-License-Identifier: Apache-2.0
#include "koe/stitch.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>

#include "koe/error.hpp"

namespace koe {
namespace {

// Short enough to place an onset well within the margin, long enough for an RMS.
constexpr double kFrameS = 0.005;
constexpr double kMaxSilenceS = 3600;

void check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return;
  throw std::invalid_argument(std::string("stitching: ") + name + " is " + std::to_string(value) + "; it goes from " +
                              std::to_string(low) + " to " + std::to_string(high));
}

void check_options(const StitchOptions& options) {
  check_range("sample_rate_hz", options.sample_rate_hz, 1, 768'000);
  check_range("silence_s", options.silence_s, 0, kMaxSilenceS);
  check_range("fade_s", options.fade_s, 0, 1);
  check_range("threshold_db", options.threshold_db, -200, 0);
  check_range("floor_db", options.floor_db, -200, 0);
  check_range("margin_s", options.margin_s, 0, 10);
}

std::size_t to_samples(double seconds, const StitchOptions& options) {
  return static_cast<std::size_t>(std::llround(seconds * options.sample_rate_hz));
}

void check_finite(std::span<const float> samples) {
  const auto bad = std::find_if_not(samples.begin(), samples.end(), [](float x) { return std::isfinite(x); });
  if (bad == samples.end()) return;
  throw Error(std::string("stitching: ") + (std::isnan(*bad) ? "NaN" : "infinity") + " at sample " +
              std::to_string(bad - samples.begin()) + " of a chunk of " + std::to_string(samples.size()));
}

/// Both have been checked.
Span speech(std::span<const float> samples, const StitchOptions& options) {
  const std::size_t frame = std::max<std::size_t>(1, to_samples(kFrameS, options));
  const std::size_t n_frames = (samples.size() + frame - 1) / frame;
  std::vector<double> power(n_frames);
  for (std::size_t k = 0; k < n_frames; ++k) {
    const auto part = samples.subspan(k * frame, std::min(frame, samples.size() - k * frame));
    double sum = 0;
    for (const float x : part) sum += static_cast<double>(x) * static_cast<double>(x);
    power[k] = sum / static_cast<double>(part.size());
  }
  if (power.empty()) return {};
  const double loudest = *std::max_element(power.begin(), power.end());
  const double threshold = std::max(loudest * std::pow(10, options.threshold_db / 10), std::pow(10, options.floor_db / 10));
  const auto is_speech = [threshold](double p) { return p >= threshold; };
  const auto first = std::find_if(power.begin(), power.end(), is_speech);
  if (first == power.end()) return {};
  const auto last = std::find_if(power.rbegin(), power.rend(), is_speech);

  const std::size_t margin = to_samples(options.margin_s, options);
  const std::size_t begin = static_cast<std::size_t>(first - power.begin()) * frame;
  const std::size_t end = static_cast<std::size_t>(power.rend() - last) * frame;
  return {begin - std::min(begin, margin), std::min(samples.size(), end + margin)};
}

}  // namespace

Span find_speech(std::span<const float> samples, const StitchOptions& options) {
  check_options(options);
  check_finite(samples);
  return speech(samples, options);
}

std::vector<float> trim(std::span<const float> samples, const StitchOptions& options) {
  const Span span = find_speech(samples, options);
  const auto kept = samples.subspan(span.begin, span.size());
  return {kept.begin(), kept.end()};
}

void fade(std::span<float> samples, std::size_t n) noexcept {
  n = std::min(n, (samples.size() + 1) / 2);
  for (std::size_t i = 0; i < n; ++i) {
    const double phase = std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    const auto gain = static_cast<float>(0.5 - 0.5 * std::cos(phase));
    const std::size_t mirrored = samples.size() - 1 - i;
    samples[i] *= gain;
    if (mirrored != i) samples[mirrored] *= gain;
  }
}

Stitcher::Stitcher(const StitchOptions& options) : options_(options) { check_options(options_); }

StitchedPiece Stitcher::push(std::span<const float> chunk, std::optional<double> pause_before_s) {
  if (pause_before_s) check_range("pause_before_s", *pause_before_s, 0, kMaxSilenceS);
  check_finite(chunk);
  if (pause_before_s) kept_pause_ = kept_pause_.value_or(0) + to_samples(*pause_before_s, options_);

  const Span span = options_.trim ? speech(chunk, options_) : Span{0, chunk.size()};
  if (span.size() == 0) return {{}, {n_samples_, 0, chunk.size(), 0}};

  const std::size_t pause = kept_pause_.value_or(n_samples_ == 0 ? 0 : to_samples(options_.silence_s, options_));
  kept_pause_.reset();
  StitchedPiece piece;
  piece.samples.resize(pause + span.size());
  const auto kept = std::span(piece.samples).subspan(pause);
  std::copy_n(chunk.begin() + static_cast<std::ptrdiff_t>(span.begin), span.size(), kept.begin());
  fade(kept, to_samples(options_.fade_s, options_));
  piece.placement = {n_samples_ + pause, span.size(), span.begin, chunk.size() - span.end};
  n_samples_ += piece.samples.size();
  return piece;
}

std::vector<float> Stitcher::finish() {
  std::vector<float> rest(kept_pause_.value_or(0));
  kept_pause_.reset();
  n_samples_ = 0;
  return rest;
}

Stitched stitch(std::span<const std::span<const float>> chunks, const StitchOptions& options,
                std::span<const std::optional<double>> pauses_before_s) {
  if (!pauses_before_s.empty() && pauses_before_s.size() != chunks.size()) {
    throw std::invalid_argument("stitching: " + std::to_string(chunks.size()) + " chunks with " +
                                std::to_string(pauses_before_s.size()) + " pauses");
  }
  Stitcher stitcher(options);
  Stitched whole;
  const auto append = [&whole](const std::vector<float>& samples) {
    whole.samples.insert(whole.samples.end(), samples.begin(), samples.end());
  };
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const StitchedPiece piece = stitcher.push(chunks[i], pauses_before_s.empty() ? std::nullopt : pauses_before_s[i]);
    append(piece.samples);
    whole.placements.push_back(piece.placement);
  }
  append(stitcher.finish());
  return whole;
}

}  // namespace koe
