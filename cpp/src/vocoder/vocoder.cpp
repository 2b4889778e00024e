// SPDX-License-Identifier: Apache-2.0
#include "koe/vocoder.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "kernels/dispatch.hpp"
#include "koe/error.hpp"
#include "vocoder/conv.hpp"
#include "vocoder/decoder.hpp"
#include "vocoder/generator.hpp"
#include "vocoder/source.hpp"
#include "vocoder/stft.hpp"

namespace koe {
namespace {

using vocoder::Frames;

constexpr std::size_t kSamplesPerFrame = 600;

kernels::Precision choose(const kernels::Table& table, Precision precision) {
  switch (precision) {
    case Precision::kAuto: return table.fastest;
    case Precision::kFloat32: return kernels::Precision::float32;
    case Precision::kBfloat16:
      if (table.bfloat16.conv != nullptr) return kernels::Precision::bfloat16;
      break;
    case Precision::kInt8:
      if (table.int8.conv != nullptr) return kernels::Precision::int8;
      break;
  }
  throw Error("the kernels '" + std::string(table.name) + "' have no " + name_of(precision) +
              " product; take precision auto or float32, or other kernels");
}

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

void require_finite(std::span<const float> values, const char* name) {
  require(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }),
          std::string(name) + " holds a value that is not finite");
}

// [channels, rows] to time-major rows, padded.
Frames to_frames(vocoder::Buffer<float>& buffer, const Vocoder::Array& a, std::size_t step) {
  const std::size_t stride = vocoder::round_up(a.rows, step);
  const Frames f{buffer.reserve(a.columns * stride), a.columns, a.rows, stride};
  std::fill(f.data, f.data + a.columns * stride, 0.0f);
  for (std::size_t c = 0; c < a.rows; ++c) {
    for (std::size_t t = 0; t < a.columns; ++t) f.row(t)[c] = a.values[c * a.columns + t];
  }
  return f;
}

Vocoder::Array to_array(const Frames& f) {
  Vocoder::Array a{std::vector<float>(f.channels * f.rows), f.channels, f.rows};
  for (std::size_t c = 0; c < f.channels; ++c) {
    for (std::size_t t = 0; t < f.rows; ++t) a.values[c * f.rows + t] = f.row(t)[c];
  }
  return a;
}

}  // namespace

Precision parse_precision(std::string_view name) {
  for (const Precision p : {Precision::kAuto, Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    if (name == name_of(p)) return p;
  }
  throw std::invalid_argument("precision '" + std::string(name) + "' is none of auto, float32, bfloat16, int8");
}

const char* name_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::kAuto: return "auto";
    case Precision::kFloat32: return "float32";
    case Precision::kBfloat16: return "bfloat16";
    case Precision::kInt8: return "int8";
  }
  return "";
}

struct Vocoder::Impl {
  Impl(const Bundle& bundle, const VocoderOptions& options)
      : machine(kernels::select(options.isa), options.threads),
        precision(choose(machine.table, options.precision)),
        noise_seed(options.noise_seed),
        decoder(bundle, machine, precision),
        generator(bundle, machine, precision),
        source(bundle),
        style_size(static_cast<std::size_t>(bundle.tensor("encode.norm1.fc.weight").shape.at(1))) {
    if (decoder.out_channels() != generator.in_channels(0) || generator.out_channels(0) != generator.in_channels(1)) {
      throw Error("the bundle's decoder and generator don't fit together");
    }
  }

  void check_style(std::span<const float> style) const {
    require(style.size() == style_size,
            "style has " + std::to_string(style.size()) + " values, not " + std::to_string(style_size));
    require_finite(style, "style");
  }

  void check(std::span<const float> asr, std::span<const float> f0, std::span<const float> n) const {
    const std::size_t frames = asr.size() / decoder.in_channels();
    require(frames > 0 && asr.size() % decoder.in_channels() == 0,
            "asr has " + std::to_string(asr.size()) + " values, not " + std::to_string(decoder.in_channels()) +
                " for each of at least one frame");
    require(f0.size() == 2 * frames && n.size() == 2 * frames,
            "f0 has " + std::to_string(f0.size()) + " values and n " + std::to_string(n.size()) + "; " +
                std::to_string(frames) + " frames of asr want " + std::to_string(2 * frames) + " each");
    require_finite(asr, "asr");
    require_finite(f0, "f0");
    require_finite(n, "n");
  }

  Frames make_har(const float* samples, std::size_t n) {
    const std::size_t rows = n / vocoder::kHop + 1;
    const std::size_t stride = vocoder::round_up(2 * vocoder::kBins, 2 * vocoder::kChannelStep);
    const Frames f{har.reserve(rows * stride), rows, 2 * vocoder::kBins, stride};
    vocoder::stft(machine.pool, samples, n, f);
    return f;
  }

  std::mutex mutex;
  vocoder::Machine machine;
  kernels::Precision precision;
  std::optional<std::uint64_t> noise_seed;
  vocoder::Decoder decoder;
  vocoder::Generator generator;
  vocoder::HarmonicSource source;
  std::size_t style_size;
  vocoder::Buffer<float> signal;
  vocoder::Buffer<float> har;
  vocoder::Buffer<float> input;
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
  const std::size_t samples = f0.size() * vocoder::kSamplesPerF0;
  std::vector<float> audio(samples);
  const std::lock_guard lock(m.mutex);
  float* signal = m.signal.reserve(samples);
  m.source.generate(m.machine.pool, f0, m.noise_seed, signal);
  const Frames har = m.make_har(signal, samples);
  Frames x = m.decoder.run(m.machine, asr, f0, n, style);
  for (std::size_t level = 0; level < vocoder::Generator::kLevels; ++level) {
    x = m.generator.run_level(m.machine, level, x, har, style);
  }
  vocoder::istft_of_log(m.machine.pool, m.generator.run_output(m.machine, x), audio.data());
  return audio;
}

std::size_t Vocoder::asr_channels() const noexcept { return impl_->decoder.in_channels(); }
std::size_t Vocoder::style_size() const noexcept { return impl_->style_size; }
std::size_t Vocoder::threads() const noexcept { return impl_->machine.pool.size(); }
const char* Vocoder::isa() const noexcept { return impl_->machine.table.name; }

Precision Vocoder::precision() const noexcept {
  switch (impl_->precision) {
    case kernels::Precision::bfloat16: return Precision::kBfloat16;
    case kernels::Precision::int8: return Precision::kInt8;
    case kernels::Precision::float32: break;
  }
  return Precision::kFloat32;
}

Vocoder::Array Vocoder::decode(std::span<const float> asr, std::span<const float> f0, std::span<const float> n,
                               std::span<const float> style) {
  Impl& m = *impl_;
  m.check(asr, f0, n);
  m.check_style(style);
  const std::lock_guard lock(m.mutex);
  return to_array(m.decoder.run(m.machine, asr, f0, n, style));
}

std::vector<float> Vocoder::source(std::span<const float> f0) {
  require(!f0.empty(), "f0 is empty");
  require_finite(f0, "f0");
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  std::vector<float> signal(f0.size() * vocoder::kSamplesPerF0);
  m.source.generate(m.machine.pool, f0, m.noise_seed, signal.data());
  return signal;
}

Vocoder::Array Vocoder::source_spectrum(std::span<const float> signal) {
  require(!signal.empty() && signal.size() % kSamplesPerFrame == 0,
          "the signal has " + std::to_string(signal.size()) + " samples, not 600 for each of at least one frame");
  require_finite(signal, "the signal");
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  return to_array(m.make_har(signal.data(), signal.size()));
}

Vocoder::Array Vocoder::generator_level(std::size_t level, const Array& x, const Array& har, std::span<const float> style) {
  Impl& m = *impl_;
  require(level < vocoder::Generator::kLevels, "there is no level " + std::to_string(level) + "; there are 0 and 1");
  const std::size_t channels = m.generator.in_channels(level);
  require(x.rows == channels && x.columns > 0 && x.values.size() == x.rows * x.columns,
          "x has " + std::to_string(x.rows) + " rows, not " + std::to_string(channels) + " and at least one column");
  const std::size_t rows = x.columns * (level == 0 ? 60 : 6) + 1;
  require(har.rows == 2 * vocoder::kBins && har.columns == rows && har.values.size() == har.rows * har.columns,
          "har is [" + std::to_string(har.rows) + ", " + std::to_string(har.columns) + "], not [22, " + std::to_string(rows) +
              "]");
  require_finite(x.values, "x");
  require_finite(har.values, "har");
  m.check_style(style);
  const std::lock_guard lock(m.mutex);
  const Frames in = to_frames(m.input, x, vocoder::kRowStep);
  const Frames source = to_frames(m.har, har, 2 * vocoder::kChannelStep);
  return to_array(m.generator.run_level(m.machine, level, in, source, style));
}

Vocoder::Array Vocoder::spectrum(const Array& x) {
  Impl& m = *impl_;
  const std::size_t channels = m.generator.out_channels(1);
  require(x.rows == channels && x.columns > 0 && x.values.size() == x.rows * x.columns,
          "x has " + std::to_string(x.rows) + " rows, not " + std::to_string(channels) + " and at least one column");
  require_finite(x.values, "x");
  const std::lock_guard lock(m.mutex);
  const Frames out = m.generator.run_output(m.machine, to_frames(m.input, x, vocoder::kRowStep));
  vocoder::exponential_and_sine(m.machine.pool, out);
  return to_array(out);
}

std::vector<float> Vocoder::istft(const Array& spectrum) {
  require(spectrum.rows == 2 * vocoder::kBins && spectrum.columns > 1 &&
              spectrum.values.size() == spectrum.rows * spectrum.columns,
          "the spectrum has " + std::to_string(spectrum.rows) + " rows, not 22 and at least two columns");
  require_finite(spectrum.values, "the spectrum");
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  std::vector<float> samples((spectrum.columns - 1) * vocoder::kHop);
  vocoder::istft(m.machine.pool, to_frames(m.input, spectrum, 2 * vocoder::kChannelStep), samples.data());
  return samples;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const kernels::Table* table : kernels::available()) names.emplace_back(table->name);
  return names;
}

std::vector<std::string> processor_features() { return kernels::processor_features(); }

}  // namespace koe
