// SPDX-License-Identifier: Apache-2.0
#include "koe/vocoder.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "kernels/dispatch.hpp"
#include "metal/backend.hpp"
#include "metal/device.hpp"
#include "vocoder/backend.hpp"
#include "vocoder/cpu.hpp"
#include "vocoder/source.hpp"
#include "vocoder/stft.hpp"

namespace koe {
namespace {

constexpr std::size_t kSamplesPerFrame = 600;
constexpr std::size_t kLevels = 2;

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

void require_finite(std::span<const float> values, const char* name) {
  require(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }),
          std::string(name) + " holds a value that is not finite");
}

}  // namespace

Device parse_device(std::string_view name) {
  if (name == "cpu") return Device::kCpu;
  if (name == "metal") return Device::kMetal;
  throw std::invalid_argument("device '" + std::string(name) + "' is neither cpu nor metal");
}

std::string metal_device(std::string* reason) { return metal::device_name(reason); }

struct Vocoder::Impl {
  Impl(const Bundle& bundle, const VocoderOptions& options)
      : backend(options.device == Device::kMetal ? metal::metal_backend(bundle, options, metal::open_device)
                                                 : vocoder::cpu_backend(bundle, options)) {}

  void check_style(std::span<const float> style) const {
    require(style.size() == backend->style_size(),
            "style has " + std::to_string(style.size()) + " values, not " + std::to_string(backend->style_size()));
    require_finite(style, "style");
  }

  void check(std::span<const float> asr, std::span<const float> f0, std::span<const float> n) const {
    const std::size_t channels = backend->asr_channels();
    const std::size_t frames = asr.size() / channels;
    require(frames > 0 && asr.size() % channels == 0, "asr has " + std::to_string(asr.size()) + " values, not " +
                                                          std::to_string(channels) + " for each of at least one frame");
    require(f0.size() == 2 * frames && n.size() == 2 * frames,
            "f0 has " + std::to_string(f0.size()) + " values and n " + std::to_string(n.size()) + "; " +
                std::to_string(frames) + " frames of asr want " + std::to_string(2 * frames) + " each");
    require_finite(asr, "asr");
    require_finite(f0, "f0");
    require_finite(n, "n");
  }

  void check_level(std::size_t level, const Array& x) const {
    const std::size_t channels = backend->level_channels(level);
    require(x.rows == channels && x.columns > 0 && x.values.size() == x.rows * x.columns,
            "x has " + std::to_string(x.rows) + " rows, not " + std::to_string(channels) + " and at least one column");
    require_finite(x.values, "x");
  }

  std::mutex mutex;
  std::unique_ptr<vocoder::Backend> backend;
};

Vocoder::Vocoder(const Bundle& bundle, const VocoderOptions& options) : impl_(std::make_unique<Impl>(bundle, options)) {}
Vocoder::~Vocoder() = default;
Vocoder::Vocoder(Vocoder&&) noexcept = default;
Vocoder& Vocoder::operator=(Vocoder&&) noexcept = default;

std::vector<float> Vocoder::synthesize(std::span<const float> asr, std::span<const float> f0, std::span<const float> n,
                                       std::span<const float> style) {
  Impl& m = *impl_;
  m.check(asr, f0, n);
  m.check_style(style);
  std::vector<float> audio(f0.size() * vocoder::kSamplesPerF0);
  const std::lock_guard lock(m.mutex);
  m.backend->synthesize(asr, f0, n, style, audio);
  return audio;
}

std::size_t Vocoder::asr_channels() const noexcept { return impl_->backend->asr_channels(); }
std::size_t Vocoder::style_size() const noexcept { return impl_->backend->style_size(); }
std::size_t Vocoder::threads() const noexcept { return impl_->backend->threads(); }
const char* Vocoder::isa() const noexcept { return impl_->backend->isa(); }
const char* Vocoder::device() const noexcept { return impl_->backend->device(); }
Precision Vocoder::precision() const noexcept { return impl_->backend->precision(); }

Vocoder::Array Vocoder::decode(std::span<const float> asr, std::span<const float> f0, std::span<const float> n,
                               std::span<const float> style) {
  Impl& m = *impl_;
  m.check(asr, f0, n);
  m.check_style(style);
  const std::lock_guard lock(m.mutex);
  return m.backend->decode(asr, f0, n, style);
}

std::vector<float> Vocoder::source(std::span<const float> f0) {
  require(!f0.empty(), "f0 is empty");
  require_finite(f0, "f0");
  Impl& m = *impl_;
  std::vector<float> signal(f0.size() * vocoder::kSamplesPerF0);
  const std::lock_guard lock(m.mutex);
  m.backend->source(f0, signal);
  return signal;
}

Vocoder::Array Vocoder::source_spectrum(std::span<const float> signal) {
  require(!signal.empty() && signal.size() % kSamplesPerFrame == 0,
          "the signal has " + std::to_string(signal.size()) + " samples, not 600 for each of at least one frame");
  require_finite(signal, "the signal");
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  return m.backend->source_spectrum(signal);
}

Vocoder::Array Vocoder::generator_level(std::size_t level, const Array& x, const Array& har, std::span<const float> style) {
  Impl& m = *impl_;
  require(level < kLevels, "there is no level " + std::to_string(level) + "; there are 0 and 1");
  m.check_level(level, x);
  const std::size_t rows = x.columns * (level == 0 ? 60 : 6) + 1;
  require(har.rows == 2 * vocoder::kBins && har.columns == rows && har.values.size() == har.rows * har.columns,
          "har is [" + std::to_string(har.rows) + ", " + std::to_string(har.columns) + "], not [22, " + std::to_string(rows) +
              "]");
  require_finite(har.values, "har");
  m.check_style(style);
  const std::lock_guard lock(m.mutex);
  return m.backend->generator_level(level, x, har, style);
}

Vocoder::Array Vocoder::spectrum(const Array& x) {
  Impl& m = *impl_;
  m.check_level(kLevels, x);
  const std::lock_guard lock(m.mutex);
  return m.backend->spectrum(x);
}

std::vector<float> Vocoder::istft(const Array& spectrum) {
  require(spectrum.rows == 2 * vocoder::kBins && spectrum.columns > 1 &&
              spectrum.values.size() == spectrum.rows * spectrum.columns,
          "the spectrum has " + std::to_string(spectrum.rows) + " rows, not 22 and at least two columns");
  require_finite(spectrum.values, "the spectrum");
  Impl& m = *impl_;
  std::vector<float> samples((spectrum.columns - 1) * vocoder::kHop);
  const std::lock_guard lock(m.mutex);
  m.backend->istft(spectrum, samples);
  return samples;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const kernels::Table* table : kernels::available()) names.emplace_back(table->name);
  return names;
}

std::vector<std::string> processor_features() { return kernels::processor_features(); }

}  // namespace koe
