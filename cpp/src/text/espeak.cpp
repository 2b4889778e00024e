// SPDX-License-Identifier: Apache-2.0
// espeak-ng by its C API, of which only what koe calls is declared. Facts from espeak-ng's src/include/espeak-ng/speak_lib.h
// (https://github.com/espeak-ng/espeak-ng): names, signatures, the values of the flags, and how espeak_VOICE begins.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "koe/error.hpp"
#include "koe/g2p.hpp"
#include "model/mapped_file.hpp"
#include "platform/dynamic_library.hpp"
#include "text/phoneme_rules.hpp"

namespace koe {
namespace {

#if defined(_WIN32)
constexpr const char* kUsualNames[] = {"libespeak-ng.dll", "espeak-ng.dll"};
#elif defined(__APPLE__)
constexpr const char* kUsualNames[] = {"libespeak-ng.1.dylib", "libespeak-ng.dylib", "/opt/homebrew/lib/libespeak-ng.dylib",
                                       "/usr/local/lib/libespeak-ng.dylib"};
#else
constexpr const char* kUsualNames[] = {"libespeak-ng.so.1", "libespeak-ng.so"};
#endif

constexpr const char* kHowToGetIt =
    "install espeak-ng (apt install espeak-ng, brew install espeak-ng, or the Python package espeakng-loader) and give its "
    "library's path or set KOE_ESPEAK to it; phonemes can be spoken without it";

struct VoiceInfo {
  const char* name;
  const char* languages;  ///< a byte of priority before each
  const char* identifier;
};

using Initialize = int(int output, int buffer_ms, const char* data, int options);
using ListVoices = const VoiceInfo* const*(VoiceInfo* filter);
using SetVoiceByName = int(const char* name);
using TextToPhonemes = const char*(const void** text, int text_mode, int phoneme_mode);

constexpr int kSynchronousOutput = 2;
constexpr int kDontExit = 0x8000;  // else a missing data folder would end the process
constexpr int kUtf8 = 1;
constexpr int kIpaTied = 0x02 | 0x80 | (0x361 << 8);
constexpr std::size_t kWordCacheSize = 8192;

/// One loaded library, which has one voice at a time for the whole process. Lives until the process ends.
class Library {
 public:
  Library(const DynamicLibrary& library, const std::string& name, const std::filesystem::path& data)
      : name_(name),
        set_voice_by_name_(find<SetVoiceByName>(library, "espeak_SetVoiceByName")),
        text_to_phonemes_(find<TextToPhonemes>(library, "espeak_TextToPhonemes")) {
    const auto initialize = find<Initialize>(library, "espeak_Initialize");
    const auto list_voices = find<ListVoices>(library, "espeak_ListVoices");
    const std::string folder = data.string();
    if (initialize(kSynchronousOutput, 0, folder.empty() ? nullptr : folder.c_str(), kDontExit) <= 0) {
      throw Error(name_ + ": espeak-ng can't be started with its data in " +
                      (data.empty() ? "the usual folder" : display(data)) + "; KOE_ESPEAK_DATA may name another folder",
                  ErrorKind::kG2p);
    }
    // The first voice of a language is the best; mbrola's need another program.
    for (auto voice = list_voices(nullptr); voice && *voice; ++voice) {
      const std::string identifier = (*voice)->identifier ? (*voice)->identifier : "";
      if (identifier.starts_with("mb/") || identifier.starts_with("mb\\") || !(*voice)->languages) continue;
      if ((*voice)->languages[0] != 0) voices_.emplace((*voice)->languages + 1, identifier);
    }
  }

  std::string speak(std::string_view phrase, const std::string& language) {
    const std::lock_guard lock(mutex_);
    choose(language);
    const std::string text(phrase);
    const void* rest = text.c_str();
    std::string phonemes;
    while (rest) {
      const char* part = text_to_phonemes_(&rest, kUtf8, kIpaTied);
      if (!part || !*part) continue;
      if (!phonemes.empty()) phonemes += ' ';
      phonemes += part;
    }
    return phonemes;
  }

 private:
  template <typename Function>
  Function* find(const DynamicLibrary& library, const char* symbol) const {
    if (const auto function = library.function<Function>(symbol)) return function;
    throw Error(name_ + " is not espeak-ng: it has no " + symbol, ErrorKind::kG2p);
  }

  void choose(const std::string& language) {
    if (language == language_) return;
    const auto voice = voices_.find(language);
    if (voice == voices_.end() || set_voice_by_name_(voice->second.c_str()) != 0) {
      language_.clear();
      throw Error(name_ + ": espeak-ng has no voice for " + language, ErrorKind::kG2p);
    }
    language_ = language;
  }

  std::string name_;
  SetVoiceByName* set_voice_by_name_;
  TextToPhonemes* text_to_phonemes_;
  std::map<std::string, std::string> voices_;
  std::mutex mutex_;
  std::string language_;
};

std::filesystem::path data_folder(const std::filesystem::path& library, const std::filesystem::path& given) {
  if (!given.empty()) return given;
  if (auto named = path_from_environment("KOE_ESPEAK_DATA"); !named.empty()) return named;
  std::error_code ignored;
  const auto beside = library.parent_path() / "espeak-ng-data";
  return !library.parent_path().empty() && std::filesystem::is_directory(beside, ignored) ? beside : std::filesystem::path();
}

Library& load_library(const EspeakOptions& options) {
  static std::mutex mutex;
  static auto& loaded = *new std::map<std::filesystem::path, Library>;
  const std::lock_guard lock(mutex);
  const std::filesystem::path chosen = options.library.empty() ? path_from_environment("KOE_ESPEAK") : options.library;
  if (const auto found = loaded.find(chosen); found != loaded.end()) return found->second;
  const auto add = [&](const DynamicLibrary& library, const std::filesystem::path& path) -> Library& {
    return loaded
        .try_emplace(chosen, library, display(path), data_folder(path, options.data))
        .first->second;
  };
  std::string why;
  if (!chosen.empty()) {
    if (const auto library = DynamicLibrary::load(chosen, why)) return add(*library, chosen);
    throw Error("no espeak-ng: " + display(chosen) + " can't be loaded (" + why + "); " + kHowToGetIt, ErrorKind::kG2pNotFound);
  }
  std::string tried;
  for (const char* name : kUsualNames) {
    if (const auto library = DynamicLibrary::load(name, why)) return add(*library, name);
    if (!tried.empty()) tried += ", ";
    tried += name;
  }
  throw Error("no espeak-ng: there is none of " + tried + " where the system looks for libraries; " + kHowToGetIt,
              ErrorKind::kG2pNotFound);
}

class EspeakG2p final : public G2p {
 public:
  explicit EspeakG2p(const EspeakOptions& options) : rules_(options.rules), library_(load_library(options)) {}

  Phonemes phonemize(std::string_view utf8, std::string_view language) const override {
    const auto known = g2p_languages();
    if (std::find(known.begin(), known.end(), language) == known.end()) {
      throw Error("espeak-ng has no phonemes that Kokoro knows for '" + std::string(language) +
                      "'; give the phonemes, or a G2P of your own",
                  ErrorKind::kG2p);
    }
    const std::string code(language);
    return koe::phonemize(
        utf8, language, [&](std::string_view phrase) { return speak(phrase, code); },
        [&](std::string_view word) { return speak_word(word, code); });
  }

 private:
  std::string speak(std::string_view phrase, const std::string& language) const {
    return map_phonemes(library_.speak(phrase, language), language, rules_);
  }

  std::string speak_word(std::string_view word, const std::string& language) const {
    const std::string key = language + ' ' + std::string(word);
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = words_.find(key); found != words_.end()) return found->second;
    }
    std::string phonemes = speak(word, language);
    const std::lock_guard lock(mutex_);
    if (words_.size() >= kWordCacheSize) words_.clear();
    words_.emplace(key, phonemes);
    return phonemes;
  }

  std::string rules_;
  Library& library_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, std::string> words_;
};

}  // namespace

std::unique_ptr<G2p> open_espeak(const EspeakOptions& options) {
  text::rule_steps("en-us", options.rules);
  return std::make_unique<EspeakG2p>(options);
}

}  // namespace koe
