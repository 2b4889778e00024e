// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "koe/acoustic_model.hpp"
#include "koe/bundle.hpp"
#include "koe/export.hpp"
#include "koe/g2p.hpp"
#include "koe/vocoder.hpp"

namespace koe {

inline constexpr std::uint32_t kSampleRateHz = 24'000;
inline constexpr double kMinSpeed = 0.25;
inline constexpr double kMaxSpeed = 4.0;

struct EngineOptions {
  std::size_t threads = 0;  ///< of the vocoder and the acoustic model, at most 1 024; 0 for as many as the process may use
  std::string isa;          ///< a kernel table, see available_isas(); "": what KOE_ISA says, or else the fastest
  Precision precision = Precision::kAuto;
  std::optional<std::uint64_t> noise_seed = 0;  ///< of the harmonic source's noise; without one there is no noise
  double silence_s = 0.4;                       ///< between chunks, 0 to 60
  bool trim = true;                             ///< cut silence and noise at the edges of each chunk
  /// Voices beside the bundle's own, and before them: a folder of `<name>.bin` and `<name>.npy`, an `.npz`, or one such file.
  std::filesystem::path voices;
  std::filesystem::path onnxruntime;  ///< see OnnxRuntimeOptions::library
  std::filesystem::path espeak;       ///< see EspeakOptions::library
  std::filesystem::path espeak_data;  ///< see EspeakOptions::data
  std::shared_ptr<const AcousticModel> acoustic_model;  ///< an app's own, in place of ONNX Runtime
  std::shared_ptr<const G2p> g2p;                       ///< an app's own, in place of espeak-ng
  Device device = Device::kCpu;                         ///< of the vocoder; koe::Error kDevice where it isn't there
};

struct SpeechOptions {
  std::string voice = "af";  ///< a name, or a mix such as "af_bella:0.6,af_sarah:0.4", see parse_voice_spec()
  std::string language;      ///< espeak-ng's code, such as "en-gb"; "": that of the (first) voice
  double speed = 1.0;        ///< kMinSpeed to kMaxSpeed; 2 is twice as fast
  bool is_phonemes = false;  ///< the text is phonemes already: characters of the bundle's vocabulary
};

/// A word as spoken, and its place in the text that was given.
struct Word {
  std::string text;
  double start_s;          ///< from the beginning of the `Speech` that it is in
  double end_s;
  std::size_t begin;       ///< half-open, in code points
  std::size_t end;
  std::size_t begin_byte;  ///< half-open, in bytes of the UTF-8
  std::size_t end_byte;
};

struct Speech {
  std::vector<float> samples;  ///< mono, kSampleRateHz, nominally from −1 to 1; none where there was nothing to speak
  std::vector<Word> words;     ///< in order; their times don't overlap
  std::string dropped;         ///< what was left out: text without a pronunciation, phonemes unknown to the model
  double start_s = 0;          ///< where a piece begins in the whole

  [[nodiscard]] double duration_s() const noexcept { return static_cast<double>(samples.size()) / kSampleRateHz; }
};

/// Text to speech from one bundle. Every const member may be called from any number of threads at once; the same input gives
/// the same samples, those of koe's Python package. Move-only.
class KOE_API Engine {
 public:
  /// Opens the bundle, ONNX Runtime and the vocoder; espeak-ng only when the first text comes, so that phonemes can be spoken
  /// without it. Throws koe::Error (kModelNotFound, kModel, kRuntimeNotFound, kRuntimeVersion, kRuntime), and
  /// std::invalid_argument for options out of range or kernels that this machine lacks.
  static Engine open(const std::filesystem::path& bundle, const EngineOptions& options = {});

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  /// Speaks a text (UTF-8, of any length; `[word](/fəˈnimz/)` gives a word's pronunciation). Text without anything to speak
  /// gives no samples. Throws std::invalid_argument for a speed out of range or a malformed voice; koe::Error:
  /// kVoiceNotFound, kVoice, kG2pNotFound, kG2p, kModel, kRuntime.
  [[nodiscard]] Speech synthesize(std::string_view text, const SpeechOptions& options = {}) const;

  /// The same piece by piece, each as soon as it is ready, in the caller's thread; put together they are synthesize()'s
  /// samples. Times of words count from the beginning of their piece; a piece may have no samples. Ends early, and returns
  /// false, where `on_piece` returns false; what it throws comes out of here.
  bool stream(std::string_view text, const SpeechOptions& options, const std::function<bool(Speech&&)>& on_piece) const;

  /// The phonemes of a text as the model gets them; `language` as in SpeechOptions, by default American English.
  [[nodiscard]] Phonemes phonemize(std::string_view text, std::string_view language = "en-us") const;

  /// Names of the voices that can be had, sorted.
  [[nodiscard]] std::vector<std::string> voices() const;

  [[nodiscard]] const Bundle& bundle() const noexcept;
  /// Tells its kernels, precision and number of threads.
  [[nodiscard]] const Vocoder& vocoder() const noexcept;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl) noexcept;

  std::unique_ptr<Impl> impl_;
};

}  // namespace koe
