// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "koe/bundle.hpp"
#include "koe/export.hpp"

namespace koe {

/// What the vocoder's matrix products are computed in. The harmonic source, all statistics and sums, the STFT and the
/// inverse STFT are float32 or better in each.
enum class Precision : std::uint8_t {
  kAuto,      ///< the fastest that this processor has kernels for and whose quality is held to a bound
  kFloat32,
  kFloat16,   ///< on Metal
  kBfloat16,
  kInt8,
};

/// "auto", "float32", "float16", "bfloat16", "int8", and back. Throws std::invalid_argument for any other name.
KOE_API Precision parse_precision(std::string_view name);
KOE_API const char* name_of(Precision precision) noexcept;

/// What a vocoder runs on.
enum class Device : std::uint8_t {
  kCpu,
  kMetal,  ///< an Apple GPU
};

/// "cpu" or "metal". Throws std::invalid_argument for any other name.
KOE_API Device parse_device(std::string_view name);

/// The name of the Apple GPU that Device::kMetal takes; empty where there is none, or this build has no Metal. `reason`, if
/// given, then gets which of these it is.
KOE_API std::string metal_device(std::string* reason = nullptr);

struct VocoderOptions {
  std::size_t threads = 0;         ///< 0: as many as the process may use processors
  std::string isa;                 ///< a kernel table by its name; "": what KOE_ISA says, or else the fastest
  Precision precision = Precision::kAuto;
  std::optional<std::uint64_t> noise_seed;  ///< seed of the source's noise; without one there is no noise
  Device device = Device::kCpu;    ///< on Metal, `threads` and `isa` are ignored, and precisions are float16 and float32
};

/// Kokoro's `Decoder` (StyleTTS2's name): encoded phonemes, pitch and energy to 24 kHz samples. It follows the original
/// PyTorch code (hexgrad/kokoro, istftnet.py), which follows iSTFTNet (Kaneko 2022, arXiv:2203.02395).
///
/// T below is the number of frames, 40 a second. Arrays are float32 and row-major. The result is the same for any number of
/// threads. Calls on one object from several threads are made one after the other.
class KOE_API Vocoder {
 public:
  /// Packs the weights; the bundle is not needed afterwards. Throws koe::Error if the bundle lacks a tensor or one has the
  /// wrong shape, if the machine lacks `options.isa` or `options.device`, or if that has no kernels for `options.precision`.
  explicit Vocoder(const Bundle& bundle, const VocoderOptions& options = {});
  ~Vocoder();
  Vocoder(Vocoder&&) noexcept;
  Vocoder& operator=(Vocoder&&) noexcept;

  /// asr [asr_channels, T], f0 [2T] in Hz, n [2T], style [style_size] to 600 · T samples. Throws std::invalid_argument if the
  /// lengths don't fit or a value is not finite.
  std::vector<float> synthesize(std::span<const float> asr, std::span<const float> f0, std::span<const float> n,
                                std::span<const float> style);

  std::size_t asr_channels() const noexcept;
  std::size_t style_size() const noexcept;
  std::size_t threads() const noexcept;
  const char* isa() const noexcept;     ///< the kernel table, or "metal"
  const char* device() const noexcept;  ///< "cpu", or the GPU's name
  Precision precision() const noexcept;

  /// An array and its shape, for the stages below.
  struct Array {
    std::vector<float> values;
    std::size_t rows = 0;
    std::size_t columns = 0;
  };

  // The stages one by one, to hold each against a reference. Matrices are [channels, frames].

  /// asr, f0, n, style to features [512, 2T].
  Array decode(std::span<const float> asr, std::span<const float> f0, std::span<const float> n, std::span<const float> style);
  /// f0 [2T] to the source signal [600 T].
  std::vector<float> source(std::span<const float> f0);
  /// The source signal [600 T] to its magnitudes and phases [22, 120 T + 1].
  Array source_spectrum(std::span<const float> signal);
  /// One upsampling level (0 or 1) of the generator: x [channels, frames] and har [22, 120 T + 1] to the mean of its residual
  /// blocks, [256, 20 T] or [128, 120 T + 1].
  Array generator_level(std::size_t level, const Array& x, const Array& har, std::span<const float> style);
  /// x [128, 120 T + 1] to magnitudes (rows 0–10) and phases (rows 11–21) [22, 120 T + 1].
  Array spectrum(const Array& x);
  /// Magnitudes and phases [22, 120 T + 1] to samples [600 T].
  std::vector<float> istft(const Array& spectrum);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Names of the kernel tables that this machine can run, slowest first.
KOE_API std::vector<std::string> available_isas();

/// What the processor and the operating system offer of the features the tables ask about.
KOE_API std::vector<std::string> processor_features();

}  // namespace koe
