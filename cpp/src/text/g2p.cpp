// SPDX-License-Identifier: Apache-2.0
#include "koe/g2p.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "text/align.hpp"
#include "text/normalize.hpp"
#include "text/phrases.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace koe {
namespace text {
namespace {

/// Puts phonemes, marks and spans together.
class Writer {
 public:
  explicit Writer(const NormalizedText& in) : in_(in), dropped_(in.dropped) {}

  /// A mark of the vocabulary, or a space.
  void mark(char32_t c) {
    if (c != U' ' || !ends_with_space()) out_.push_back(c);
  }

  /// A phrase's phonemes with the span of each word in them.
  void phrase(std::u32string_view phonemes, const std::vector<TextWord>& words, const SpanList& spans,
              const std::vector<std::u32string>& alone) {
    std::size_t position = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto& [begin, end] = spans[i];
      const bool is_inline = words[i].tag != NormalizedText::kNoTag;
      out_.append(phonemes.substr(position, begin - position));
      position = end;
      if (is_inline && !words[i].joined && !out_.empty() && !ends_with_space()) out_.push_back(U' ');
      const std::size_t first = out_.size();
      if (is_inline) {
        out_.append(in_.pronunciations[static_cast<std::size_t>(words[i].tag)]);
      } else {
        out_.append(phonemes.substr(begin, end - begin));
      }
      add_word(words[i], first, !alone[i].empty());
      if (is_inline && position < phonemes.size() && phonemes[position] != U' ') {
        if (i + 1 < words.size() && !words[i + 1].joined) out_.push_back(U' ');
      }
    }
    out_.append(phonemes.substr(position));
  }

  Phonemes finish() {
    while (!out_.empty() && out_.back() == U' ') out_.pop_back();
    std::sort(dropped_.begin(), dropped_.end());
    Phonemes phonemes{to_utf8(out_), std::move(words_), {}};
    for (const auto& [_, text] : dropped_) phonemes.dropped += to_utf8(text);
    return phonemes;
  }

 private:
  bool ends_with_space() const { return out_.empty() || out_.back() == U' '; }

  void add_word(const TextWord& word, std::size_t first, bool is_spoken) {
    const std::size_t begin = in_.spans[word.begin].first, end = in_.spans[word.end - 1].second;
    if (out_.size() > first) {
      words_.push_back({begin, end, first, out_.size()});
    } else if (!is_spoken) {
      const std::u32string spelled = in_.text.substr(word.begin, word.end - word.begin);
      const auto is_speakable = [](char32_t c) { return has(c, kSpeakable); };
      if (std::any_of(spelled.begin(), spelled.end(), is_speakable)) dropped_.emplace_back(begin, spelled);
    }
  }

  const NormalizedText& in_;
  std::u32string out_;
  std::vector<WordSpan> words_;
  std::vector<std::pair<std::size_t, std::u32string>> dropped_;
};

}  // namespace
}  // namespace text

namespace {

struct VoiceLetter {
  char letter;
  std::string_view language;
};

constexpr std::array kVoiceLetters = {
    VoiceLetter{'a', "en-us"}, VoiceLetter{'b', "en-gb"}, VoiceLetter{'e', "es"},    VoiceLetter{'f', "fr-fr"},
    VoiceLetter{'h', "hi"},    VoiceLetter{'i', "it"},    VoiceLetter{'j', "ja"},    VoiceLetter{'p', "pt-br"},
    VoiceLetter{'z', "zh"},
};

}  // namespace

G2p::~G2p() = default;

std::span<const std::string_view> g2p_languages() noexcept {
  static constexpr std::array<std::string_view, 7> kLanguages = {"en-us", "en-gb", "es", "fr-fr", "hi", "it", "pt-br"};
  return kLanguages;
}

std::string_view language_of_voice(std::string_view voice) noexcept {
  const std::string_view gender = voice.substr(std::min<std::size_t>(1, voice.size()), 2);
  if (gender == "f_" || gender == "m_") {
    for (const auto& [letter, language] : kVoiceLetters) {
      if (voice[0] == letter) return language;
    }
  }
  return "en-us";
}

Phonemes phonemize(std::string_view utf8, std::string_view language, const PhraseSpeaker& phrase, const PhraseSpeaker& word) {
  const text::NormalizedText normalized = text::normalize(text::to_utf32(utf8));
  const auto spelled = [&](std::size_t begin, std::size_t end) {
    return text::to_utf8(std::u32string_view(normalized.text).substr(begin, end - begin));
  };
  text::Writer writer(normalized);
  for (const text::TextItem& item : text::find_phrases(normalized, language)) {
    if (item.mark != 0) {
      writer.mark(item.mark);
      continue;
    }
    const std::u32string spoken = text::to_utf32(phrase(spelled(item.words.front().begin, item.words.back().end)));
    std::vector<std::u32string> alone;
    std::vector<bool> joined;
    for (const text::TextWord& one : item.words) {
      alone.push_back(text::to_utf32(word(spelled(one.begin, one.end))));
      joined.push_back(one.joined);
    }
    writer.phrase(spoken, item.words, text::align_words(spoken, alone, joined), alone);
  }
  return writer.finish();
}

}  // namespace koe
