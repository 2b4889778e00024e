// SPDX-License-Identifier: Apache-2.0
#include "metal/backend.hpp"

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "koe/error.hpp"
#include "metal/network.hpp"
#include "metal/planner.hpp"
#include "vocoder/source.hpp"

namespace koe::metal {
namespace {

bool takes_half(Precision precision) {
  if (precision == Precision::kAuto || precision == Precision::kFloat16) return true;
  if (precision == Precision::kFloat32) return false;
  throw Error("Metal has no " + std::string(name_of(precision)) + " kernels; take precision auto, float16 or float32", ErrorKind::kDevice);
}

// [channels, rows] to time-major rows, as `rows` says.
std::vector<float> to_rows(const Vocoder::Array& a, const Rows& rows) {
  std::vector<float> out(rows.floats());
  for (std::size_t c = 0; c < a.rows; ++c) {
    for (std::size_t t = 0; t < a.columns; ++t) out[t * rows.stride + c] = a.values[c * a.columns + t];
  }
  return out;
}

Vocoder::Array to_array(const std::vector<float>& values, const Rows& rows) {
  Vocoder::Array a{std::vector<float>(std::size_t{rows.channels} * rows.rows), rows.channels, rows.rows};
  for (std::size_t c = 0; c < a.rows; ++c) {
    for (std::size_t t = 0; t < a.columns; ++t) a.values[c * a.columns + t] = values[t * rows.stride + c];
  }
  return a;
}

class Metal final : public vocoder::Backend {
 public:
  Metal(const Bundle& bundle, const VocoderOptions& options,
        const std::function<std::unique_ptr<Device>(std::span<const std::byte>)>& open)
      : is_half_(takes_half(options.precision)),
        noise_seed_(options.noise_seed),
        source_(bundle),
        network_(bundle, is_half_),
        device_(open(network_.arena())),
        device_name_(device_->name()) {
    network_.drop_arena();
  }

  std::size_t asr_channels() const noexcept override { return network_.asr_channels; }
  std::size_t style_size() const noexcept override { return network_.style_size; }
  std::size_t level_channels(std::size_t level) const noexcept override {
    return level < network_.levels.size() ? network_.levels[level].up.in : network_.output.in;
  }
  std::size_t threads() const noexcept override { return 1; }
  const char* isa() const noexcept override { return "metal"; }
  const char* device() const noexcept override { return device_name_.c_str(); }
  Precision precision() const noexcept override { return is_half_ ? Precision::kFloat16 : Precision::kFloat32; }

  void synthesize(Floats asr, Floats f0, Floats n, Floats style, std::span<float> samples) override {
    Planner planner(network_);
    planner.style();
    plan_source(planner, f0.size());
    const Rows har = planner.source_spectrum(count(samples.size()));
    Rows x = planner.decoder(count(f0.size() / 2));
    for (std::size_t level = 0; level < network_.levels.size(); ++level) x = planner.level(level, x, har);
    planner.istft(planner.output(x));
    const std::vector<float> middle = vocoder::HarmonicSource::middle_phases(f0);
    const std::array uploads{Upload{Buffer::asr, asr}, Upload{Buffer::f0, f0}, Upload{Buffer::n, n},
                             Upload{Buffer::style, style}, Upload{Buffer::middle, middle}};
    device_->run(planner.take(), uploads, Buffer::samples, samples);
  }

  Array decode(Floats asr, Floats f0, Floats n, Floats style) override {
    Planner planner(network_);
    planner.style();
    const Rows x = planner.decoder(count(f0.size() / 2));
    const std::array uploads{Upload{Buffer::asr, asr}, Upload{Buffer::f0, f0}, Upload{Buffer::n, n},
                             Upload{Buffer::style, style}};
    return result(planner, uploads, x);
  }

  void source(Floats f0, std::span<float> signal) override {
    Planner planner(network_);
    plan_source(planner, f0.size());
    const std::vector<float> middle = vocoder::HarmonicSource::middle_phases(f0);
    const std::array uploads{Upload{Buffer::f0, f0}, Upload{Buffer::middle, middle}};
    device_->run(planner.take(), uploads, Buffer::signal, signal);
  }

  Array source_spectrum(Floats signal) override {
    Planner planner(network_);
    const Rows har = planner.source_spectrum(count(signal.size()));
    const std::array uploads{Upload{Buffer::signal, signal}};
    return result(planner, uploads, har);
  }

  Array generator_level(std::size_t level, const Array& x, const Array& har, Floats style) override {
    Planner planner(network_);
    const Rows in = Planner::input_rows(count(x.columns), count(x.rows));
    const Rows source = Planner::har_rows(count((har.columns - 1) * kHopSize));
    planner.style();
    const Rows out = planner.level(level, in, source);
    const std::vector<float> in_values = to_rows(x, in);
    const std::vector<float> source_values = to_rows(har, source);
    const std::array uploads{Upload{in.buffer, in_values}, Upload{source.buffer, source_values}, Upload{Buffer::style, style}};
    return result(planner, uploads, out);
  }

  Array spectrum(const Array& x) override {
    Planner planner(network_);
    const Rows in = Planner::input_rows(count(x.columns), count(x.rows));
    const Rows out = planner.output(in);
    const std::vector<float> values = to_rows(x, in);
    const std::array uploads{Upload{in.buffer, values}};
    return result(planner, uploads, out);
  }

  void istft(const Array& spectrum, std::span<float> samples) override {
    Planner planner(network_);
    const Rows in = Planner::spectrum_rows(count(spectrum.columns));
    planner.istft(in);
    const std::vector<float> values = to_rows(spectrum, in);
    const std::array uploads{Upload{in.buffer, values}};
    device_->run(planner.take(), uploads, Buffer::samples, samples);
  }

 private:
  // Kernels count rows and elements in 32 bits; the widest rows have 128 channels and the longest are 1/5 of the samples.
  static std::uint32_t count(std::size_t n) {
    if (n > std::numeric_limits<std::uint32_t>::max() / 256) {
      throw Error("an utterance of " + std::to_string(n) + " values is too long for one chunk on Metal", ErrorKind::kDevice);
    }
    return static_cast<std::uint32_t>(n);
  }

  void plan_source(Planner& planner, std::size_t steps) const {
    planner.source({.steps = count(steps),
                    .amplitude = vocoder::kSourceAmplitude,
                    .weight = source_.weight(),
                    .bias = source_.bias(),
                    .voiced_deviation = source_.noise_gain() * vocoder::kVoicedNoise,
                    .unvoiced_deviation = source_.noise_gain() * vocoder::kUnvoicedNoise,
                    .seed = noise_seed_});
  }

  Array result(Planner& planner, std::span<const Upload> uploads, const Rows& rows) {
    std::vector<float> values(rows.floats());
    device_->run(planner.take(), uploads, rows.buffer, values);
    return to_array(values, rows);
  }

  bool is_half_;
  std::optional<std::uint64_t> noise_seed_;
  vocoder::HarmonicSource source_;
  Network network_;
  std::unique_ptr<Device> device_;
  std::string device_name_;
};

}  // namespace

std::unique_ptr<vocoder::Backend> metal_backend(
    const Bundle& bundle, const VocoderOptions& options,
    const std::function<std::unique_ptr<Device>(std::span<const std::byte>)>& open) {
  return std::make_unique<Metal>(bundle, options, open);
}

}  // namespace koe::metal
