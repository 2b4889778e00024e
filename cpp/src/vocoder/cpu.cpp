// SPDX-License-Identifier: Apache-2.0
#include "vocoder/cpu.hpp"

#include <algorithm>
#include <string>

#include "kernels/dispatch.hpp"
#include "koe/error.hpp"
#include "vocoder/arena.hpp"
#include "vocoder/conv.hpp"
#include "vocoder/decoder.hpp"
#include "vocoder/generator.hpp"
#include "vocoder/source.hpp"
#include "vocoder/stft.hpp"

namespace koe::vocoder {
namespace {

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
    case Precision::kFloat16: break;
  }
  throw Error("the kernels '" + std::string(table.name) + "' have no " + name_of(precision) +
              " product; take precision auto or float32, or other kernels");
}

// [channels, rows] to time-major rows, padded.
Frames to_frames(Buffer<float>& buffer, const Vocoder::Array& a, std::size_t step) {
  const std::size_t stride = round_up(a.rows, step);
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

class Cpu final : public Backend {
 public:
  Cpu(const Bundle& bundle, const VocoderOptions& options)
      : machine_(kernels::select(options.isa), options.threads),
        precision_(choose(machine_.table, options.precision)),
        noise_seed_(options.noise_seed),
        decoder_(bundle, machine_),
        generator_(bundle, machine_, precision_),
        source_(bundle),
        style_size_(static_cast<std::size_t>(bundle.tensor("encode.norm1.fc.weight").shape.at(1))) {
    if (decoder_.out_channels() != generator_.in_channels(0) || generator_.out_channels(0) != generator_.in_channels(1)) {
      throw Error("the bundle's decoder and generator don't fit together");
    }
  }

  std::size_t asr_channels() const noexcept override { return decoder_.in_channels(); }
  std::size_t style_size() const noexcept override { return style_size_; }
  std::size_t level_channels(std::size_t level) const noexcept override {
    return level < Generator::kLevels ? generator_.in_channels(level) : generator_.out_channels(Generator::kLevels - 1);
  }
  std::size_t threads() const noexcept override { return machine_.pool.size(); }
  const char* isa() const noexcept override { return machine_.table.name; }
  const char* device() const noexcept override { return "cpu"; }
  Precision precision() const noexcept override {
    switch (precision_) {
      case kernels::Precision::bfloat16: return Precision::kBfloat16;
      case kernels::Precision::int8: return Precision::kInt8;
      case kernels::Precision::float32: break;
    }
    return Precision::kFloat32;
  }

  void synthesize(Floats asr, Floats f0, Floats n, Floats style, std::span<float> samples) override {
    const std::size_t frames = f0.size() / 2;
    const std::size_t rows = samples.size() / kHop + 1;
    const std::size_t last = Generator::kLevels - 1;
    const std::size_t first_rows = generator_.out_rows(0, f0.size());
    arena_.reserve(std::max({
        decoder_.scratch_floats(frames),
        samples.size(),
        generator_.region_floats(0, f0.size()) + std::max(rows * kHarStride, f0.size() * decoder_.out_channels()),
        generator_.region_floats(last, first_rows),
    }));

    float* signal = arena_.head(Arena::Region::hidden).take(1, samples.size()).data;
    source_.generate(machine_.pool, f0, noise_seed_, signal);
    const Frames har = arena_.tail(Arena::Region::state, rows, 2 * kBins, kHarStride);
    stft(machine_.pool, signal, samples.size(), har);
    Frames x = arena_.tail(Arena::Region::mean, f0.size(), decoder_.out_channels());
    decoder_.run(machine_, asr, f0, n, style, x, arena_.head(Arena::Region::x));
    for (std::size_t level = 0; level < Generator::kLevels; ++level) {
      x = generator_.run_level(machine_, level, x, har, style, arena_);
    }
    istft_of_log(machine_.pool, generator_.run_output(machine_, x, arena_), samples.data());
  }

  Array decode(Floats asr, Floats f0, Floats n, Floats style) override {
    arena_.reserve(std::max(decoder_.scratch_floats(f0.size() / 2), f0.size() * decoder_.out_channels()));
    const Frames out = arena_.tail(Arena::Region::mean, f0.size(), decoder_.out_channels());
    decoder_.run(machine_, asr, f0, n, style, out, arena_.head(Arena::Region::x));
    return to_array(out);
  }

  void source(Floats f0, std::span<float> signal) override {
    source_.generate(machine_.pool, f0, noise_seed_, signal.data());
  }

  Array source_spectrum(Floats signal) override {
    const std::size_t rows = signal.size() / kHop + 1;
    const Frames har{har_.reserve(rows * kHarStride), rows, 2 * kBins, kHarStride};
    stft(machine_.pool, signal.data(), signal.size(), har);
    return to_array(har);
  }

  Array generator_level(std::size_t level, const Array& x, const Array& har, Floats style) override {
    const Frames in = to_frames(input_, x, kRowStep);
    const Frames source = to_frames(har_, har, kHarStride);
    arena_.reserve(generator_.region_floats(level, x.columns));
    return to_array(generator_.run_level(machine_, level, in, source, style, arena_));
  }

  Array spectrum(const Array& x) override {
    arena_.reserve(x.columns * kHarStride);
    const Frames out = generator_.run_output(machine_, to_frames(input_, x, kRowStep), arena_);
    exponential_and_sine(machine_.pool, out);
    return to_array(out);
  }

  void istft(const Array& spectrum, std::span<float> samples) override {
    vocoder::istft(machine_.pool, to_frames(input_, spectrum, kHarStride), samples.data());
  }

 private:
  // Magnitudes and phases of 11 bins, and zeros up to whole granules in every precision; the spectrum's rows are alike.
  static constexpr std::size_t kHarStride = round_up(2 * kBins, 2 * kChannelStep);

  Machine machine_;
  kernels::Precision precision_;
  std::optional<std::uint64_t> noise_seed_;
  Decoder decoder_;
  Generator generator_;
  HarmonicSource source_;
  std::size_t style_size_;
  Arena arena_;
  // Inputs of single stages.
  Buffer<float> har_;
  Buffer<float> input_;
};

}  // namespace

std::unique_ptr<Backend> cpu_backend(const Bundle& bundle, const VocoderOptions& options) {
  return std::make_unique<Cpu>(bundle, options);
}

}  // namespace koe::vocoder
