// SPDX-License-Identifier: Apache-2.0
#include "koe/engine.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <future>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "engine/planner.hpp"
#include "engine/voices.hpp"
#include "koe/error.hpp"
#include "koe/stitch.hpp"
#include "koe/style.hpp"
#include "koe/voice_spec.hpp"
#include "model/mapped_file.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace koe {
namespace {

constexpr std::size_t kSamplesPerFrame = 600;
constexpr std::size_t kVocoderStyle = 128;
constexpr std::size_t kMaxThreads = 1024;
constexpr double kMaxSilenceS = 60;

/// Gives an error that doesn't say its kind the one that this stage has.
template <typename Function>
auto with_kind(ErrorKind kind, Function&& function) {
  try {
    return function();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOther) throw;
    throw Error(error.what(), kind);
  }
}

void check(const EngineOptions& options) {
  if (options.threads > kMaxThreads) {
    throw std::invalid_argument("threads = " + std::to_string(options.threads) + ": at most " + std::to_string(kMaxThreads));
  }
  if (!(options.silence_s >= 0 && options.silence_s <= kMaxSilenceS)) {
    throw std::invalid_argument("silence_s = " + std::to_string(options.silence_s) + ": it is from 0 to 60 seconds");
  }
  const char* variable = std::getenv("KOE_ISA");
  const std::string isa = !options.isa.empty() ? options.isa : variable ? variable : "";
  const auto available = available_isas();
  if (isa.empty() || std::find(available.begin(), available.end(), isa) != available.end()) return;
  std::string message = "no kernels '" + isa + "' on this machine; it has ";
  for (std::size_t i = 0; i < available.size(); ++i) message += (i == 0 ? "" : ", ") + available[i];
  throw std::invalid_argument(message);
}

Bundle open_bundle(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(display(path) + ": there is no such file", ErrorKind::kModelNotFound);
  }
  return with_kind(ErrorKind::kModel, [&] { return Bundle(path); });
}

Tokenizer make_tokenizer(const Bundle& bundle) {
  std::vector<Tokenizer::Entry> entries;
  for (const auto& [character, id] : bundle.vocabulary()) entries.push_back({character, id});
  try {
    return Tokenizer(entries);
  } catch (const std::invalid_argument& error) {
    throw Error(display(bundle.path()) + ": " + error.what(), ErrorKind::kModel);
  }
}

Vocoder open_vocoder(const Bundle& bundle, const EngineOptions& options) {
  try {
    return Vocoder(bundle, {options.threads, options.isa, options.precision, options.noise_seed, options.device});
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kDevice) throw;
    // A precision that was asked for may lack kernels; otherwise it's the model that is wrong.
    const std::string message = std::string("the vocoder can't be set up: ") + error.what();
    if (options.precision != Precision::kAuto) throw std::invalid_argument(message);
    throw Error(message, ErrorKind::kModel);
  }
}

StyleRowRule open_row_rule(const Bundle& bundle) {
  return with_kind(ErrorKind::kModel, [&] {
    try {
      return style_row_rule(bundle.string("koe.style_row"));
    } catch (const std::invalid_argument& error) {
      throw Error(display(bundle.path()) + ": " + error.what());
    }
  });
}

using SampleSpan = std::pair<std::size_t, std::size_t>;

/// Gives words that trimming left without time an equal share of the next word's, or at the end of the one's before. In fast
/// speech the model starts later than its durations say, and then the first words would have none.
void share_time(std::vector<SampleSpan>& spans) {
  const auto divide = [&spans](std::size_t first, std::size_t n, std::size_t begin, std::size_t end) {
    for (std::size_t k = 0; n > 1 && k < n; ++k) {
      spans[first + k] = {begin + (end - begin) * k / n, begin + (end - begin) * (k + 1) / n};
    }
  };
  std::size_t run = 0;
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].first >= spans[i].second) continue;
    divide(run, i + 1 - run, spans[run].first, spans[i].second);
    run = i + 1;
    last = i;
  }
  if (run < spans.size() && last) divide(*last, spans.size() - *last, spans[*last].first, spans[*last].second);
}

/// From code points to bytes of a text, for places that come in rising order.
class ByteIndex {
 public:
  explicit ByteIndex(std::string_view text) {
    std::size_t byte = 0;
    text::decode_utf8(text, [&](char32_t, std::size_t n_bytes) {
      bytes_.push_back(byte);
      byte += n_bytes;
    });
    bytes_.push_back(byte);
  }

  std::size_t operator()(std::size_t code_point) const { return bytes_[code_point]; }

 private:
  std::vector<std::size_t> bytes_;
};

}  // namespace

struct Engine::Impl {
  Impl(Bundle opened, const EngineOptions& chosen)
      : options(chosen),
        bundle(std::move(opened)),
        tokenizer(make_tokenizer(bundle)),
        row_rule(open_row_rule(bundle)),
        voices(bundle, options.voices),
        // ONNX Runtime builds its session while the vocoder packs its weights.
        opening(std::async(std::launch::async, [this] { return open_acoustic_model(); })),
        vocoder(open_vocoder(bundle, options)),
        acoustic_model(opening.get()),
        opened_g2p(options.g2p) {
    // Both have their own copies of the weights now.
    bundle.release_pages();
  }

  std::shared_ptr<const AcousticModel> open_acoustic_model() const {
    if (options.acoustic_model) return options.acoustic_model;
    return with_kind(ErrorKind::kModel, [&] { return open_onnx_runtime(bundle, {options.onnxruntime, options.threads}); });
  }

  std::shared_ptr<const G2p> g2p() {
    const std::lock_guard lock(mutex);
    if (!opened_g2p) {
      opened_g2p = with_kind(ErrorKind::kG2p, [&] {
        return open_espeak({options.espeak, options.espeak_data, bundle.string("koe.phoneme_rules")});
      });
    }
    return opened_g2p;
  }

  /// A chunk behind the acoustic model.
  struct Spoken {
    PlannedChunk chunk;
    Encoding encoding;
    std::vector<float> style;
    std::optional<AcousticFrames> frames;
  };

  std::optional<Spoken> speak(Planner& planner, const StylePack& pack, double speed) const {
    auto chunk = planner.next();
    if (!chunk) return std::nullopt;
    Spoken spoken{std::move(*chunk), {}, {}, {}};
    spoken.encoding = tokenizer.encode(text::to_utf8(spoken.chunk.phonemes));
    const std::size_t row =
        style_row_index(spoken.chunk.phonemes.size(), spoken.encoding.ids.size(), row_rule, pack.n_rows());
    const auto style = pack.row(row);
    spoken.style.assign(style.begin(), style.end());
    // Of punctuation alone the model makes noises.
    const auto has_sound = [&](std::int64_t i) {
      return text::has(spoken.chunk.phonemes[static_cast<std::size_t>(i)], text::kLetter);
    };
    if (std::any_of(spoken.encoding.indices.begin(), spoken.encoding.indices.end(), has_sound)) {
      spoken.frames = with_kind(ErrorKind::kRuntime, [&] {
        return acoustic_model->run(spoken.encoding.ids, spoken.style, static_cast<float>(speed));
      });
    }
    return spoken;
  }

  Speech finish(const Spoken& spoken, Stitcher& stitcher, std::string_view text, const ByteIndex& bytes) {
    Speech speech;
    speech.dropped = spoken.chunk.dropped;
    for (const auto& [character, _] : spoken.encoding.dropped) text::append_utf8(speech.dropped, character);
    speech.start_s = static_cast<double>(stitcher.n_samples()) / kSampleRateHz;
    if (!spoken.frames) return speech;
    const AcousticFrames& frames = *spoken.frames;
    const std::size_t before = stitcher.n_samples();
    StitchedPiece piece;
    try {
      piece = stitcher.push(vocoder.synthesize(frames.asr, frames.f0, frames.n, std::span(spoken.style).first(kVocoderStyle)));
    } catch (const std::exception& error) {
      throw Error(std::string("the vocoder failed: ") + error.what(), ErrorKind::kModel);
    }
    speech.samples = std::move(piece.samples);
    std::vector<std::size_t> ends = {0};
    for (const std::int64_t n_frames : frames.durations) {
      ends.push_back(ends.back() + static_cast<std::size_t>(n_frames) * kSamplesPerFrame);
    }
    const auto& indices = spoken.encoding.indices;
    const auto token_at = [&](std::size_t phoneme) {
      const auto place = std::lower_bound(indices.begin(), indices.end(), static_cast<std::int64_t>(phoneme));
      return static_cast<std::size_t>(place - indices.begin());
    };
    std::vector<SampleSpan> spans;
    std::vector<ChunkWord> words;
    for (const ChunkWord& word : spoken.chunk.words) {
      const std::size_t first = token_at(word.phoneme_begin), last = token_at(word.phoneme_end);
      if (first >= last) continue;
      // Token k has duration k + 1, after the pad.
      spans.emplace_back(piece.placement.position(ends[first + 1]) - before, piece.placement.position(ends[last + 1]) - before);
      words.push_back(word);
    }
    share_time(spans);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::size_t begin = bytes(words[i].text_begin), end = bytes(words[i].text_end);
      speech.words.push_back({std::string(text.substr(begin, end - begin)), static_cast<double>(spans[i].first) / kSampleRateHz,
                              static_cast<double>(spans[i].second) / kSampleRateHz, words[i].text_begin, words[i].text_end,
                              begin, end});
    }
    return speech;
  }

  const EngineOptions options;
  const Bundle bundle;
  const Tokenizer tokenizer;
  const StyleRowRule row_rule;
  Voices voices;
  std::future<std::shared_ptr<const AcousticModel>> opening;
  Vocoder vocoder;
  const std::shared_ptr<const AcousticModel> acoustic_model;
  std::mutex mutex;
  std::shared_ptr<const G2p> opened_g2p;
};

Engine Engine::open(const std::filesystem::path& bundle, const EngineOptions& options) {
  check(options);
  return Engine(std::make_unique<Impl>(open_bundle(bundle), options));
}

Engine::Engine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Speech Engine::synthesize(std::string_view text, const SpeechOptions& options) const {
  Speech whole;
  stream(text, options, [&whole](Speech&& piece) {
    const double offset = whole.duration_s();
    for (Word& word : piece.words) {
      word.start_s += offset;
      word.end_s += offset;
      whole.words.push_back(std::move(word));
    }
    whole.samples.insert(whole.samples.end(), piece.samples.begin(), piece.samples.end());
    whole.dropped += piece.dropped;
    return true;
  });
  return whole;
}

bool Engine::stream(std::string_view text, const SpeechOptions& options,
                    const std::function<bool(Speech&&)>& on_piece) const {
  if (!(options.speed >= kMinSpeed && options.speed <= kMaxSpeed)) {
    throw std::invalid_argument("speed = " + std::to_string(options.speed) + ": it is a number from 0.25 to 4");
  }
  const StylePack pack = impl_->voices.pack(options.voice);
  std::shared_ptr<const G2p> g2p;
  const auto speak_sentence = [&](std::string_view sentence) {
    const std::string_view language =
        options.language.empty() ? language_of_voice(parse_voice_spec(options.voice)[0].name) : options.language;
    return with_kind(ErrorKind::kG2p, [&] { return g2p->phonemize(sentence, language); });
  };
  if (!options.is_phonemes) g2p = impl_->g2p();
  Planner planner = options.is_phonemes ? Planner::of_phonemes(text, impl_->tokenizer)
                                        : Planner(text, speak_sentence, impl_->tokenizer);
  StitchOptions stitch;
  stitch.silence_s = impl_->options.silence_s;
  stitch.trim = impl_->options.trim;
  Stitcher stitcher(stitch);
  const ByteIndex bytes(text);
  // The acoustic model of the next chunk runs while the vocoder works on this one.
  const auto start = [&] {
    return std::async(std::launch::async, [&] { return impl_->speak(planner, pack, options.speed); });
  };
  auto ahead = start();
  while (auto spoken = ahead.get()) {
    ahead = start();
    if (!on_piece(impl_->finish(*spoken, stitcher, text, bytes))) return false;
  }
  return true;
}

Phonemes Engine::phonemize(std::string_view text, std::string_view language) const {
  const auto g2p = impl_->g2p();
  return with_kind(ErrorKind::kG2p, [&] { return g2p->phonemize(text, language); });
}

std::vector<std::string> Engine::voices() const {
  return with_kind(ErrorKind::kVoice, [&] { return impl_->voices.names(); });
}

const Bundle& Engine::bundle() const noexcept { return impl_->bundle; }

const Vocoder& Engine::vocoder() const noexcept { return impl_->vocoder; }

}  // namespace koe
