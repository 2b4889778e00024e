// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// Where a word is in the text and in the phonemes; half-open spans, in code points.
struct WordSpan {
  std::size_t text_begin;
  std::size_t text_end;
  std::size_t phoneme_begin;
  std::size_t phoneme_end;

  friend bool operator==(const WordSpan&, const WordSpan&) = default;
};

/// A text's phonemes, all UTF-8.
struct Phonemes {
  std::string phonemes;         ///< characters of Kokoro's vocabulary, punctuation and single spaces included
  std::vector<WordSpan> words;  ///< those that are spoken, in order; neither kind of span overlaps the next
  std::string dropped;          ///< the parts of the text that have no pronunciation, in order
};

/// Turns text into phonemes. An app may bring its own; koe calls it from several threads at once.
class KOE_API G2p {
 public:
  virtual ~G2p();

  /// The phonemes of a sentence or a few. Throws koe::Error (kG2p) where it fails or doesn't speak the language.
  [[nodiscard]] virtual Phonemes phonemize(std::string_view utf8, std::string_view language) const = 0;

 protected:
  G2p() = default;
  G2p(const G2p&) = default;
  G2p& operator=(const G2p&) = default;
};

/// The languages that koe has phonemes for, by espeak-ng's codes: en-us, en-gb, es, fr-fr, hi, it, pt-br.
KOE_API std::span<const std::string_view> g2p_languages() noexcept;

/// The language of a voice by the first letter of its name, such as that of "bf_emma"; American English for a name that
/// doesn't say.
KOE_API std::string_view language_of_voice(std::string_view voice) noexcept;

/// Kokoro's phonemes for espeak-ng's, "^" being the tie; all else stays. `rules` is "1.0" or "0.19". Throws
/// std::invalid_argument for other rules.
KOE_API std::string apply_phoneme_rules(std::string_view phonemes, std::string_view language, std::string_view rules = "1.0");

/// The same for a phrase just as espeak-ng gives it: its ties may be U+0361, the names of languages in brackets go, and so
/// does any space but one between words.
KOE_API std::string map_phonemes(std::string_view espeak, std::string_view language, std::string_view rules = "1.0");

/// Says a phrase without marks: gives its phonemes as map_phonemes() does.
using PhraseSpeaker = std::function<std::string(std::string_view utf8)>;

/// Everything of G2P but the pronunciation of words: normalises, keeps marks and inline pronunciations, has each phrase
/// spoken by `phrase` and, to find out which phonemes are whose, each of its words by `word`. Text is UTF-8; bytes that are
/// not valid become U+FFFD. Throws what the speakers throw.
KOE_API Phonemes phonemize(std::string_view utf8, std::string_view language, const PhraseSpeaker& phrase,
                           const PhraseSpeaker& word);

struct EspeakOptions {
  /// espeak-ng's shared library, 1.49 or newer. Empty: `KOE_ESPEAK`, else the usual names where the system looks.
  std::filesystem::path library;
  /// Its folder `espeak-ng-data`. Empty: `KOE_ESPEAK_DATA`, else the one beside the library, else the library's own default.
  std::filesystem::path data;
  std::string rules = "1.0";  ///< the phoneme rules of the model, "1.0" or "0.19"
};

/// espeak-ng, which is loaded at run time and stays loaded; it is global to the process, so its use is behind one lock, and
/// the first data folder is that of all. Throws koe::Error: kG2pNotFound, or kG2p where it can't be started;
/// std::invalid_argument for unknown rules.
KOE_API std::unique_ptr<G2p> open_espeak(const EspeakOptions& options = {});

}  // namespace koe
