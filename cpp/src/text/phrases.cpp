// SPDX-License-Identifier: Apache-2.0
#include "text/phrases.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "text/characters.hpp"
#include "text/unicode.hpp"

namespace koe::text {
namespace {

// Marks that carry a pause or an intonation; a point, comma or colon inside a number or an address is none.
constexpr std::u32string_view kMarks = U";:,.!?—…\"“”()";
constexpr std::u32string_view kOpeningMarks = U"—\"“(";
constexpr std::u32string_view kBrackets = U"“(";
constexpr std::array<std::string_view, 4> kDecimalComma = {"es", "fr-fr", "it", "pt-br"};
constexpr std::array<std::u32string_view, 17> kTitles = {U"mr",  U"mrs",  U"ms", U"dr",  U"prof", U"st",  U"jr", U"sr", U"gen",
                                                         U"col", U"capt", U"lt", U"sgt", U"rev",  U"hon", U"mt", U"vs"};
// These may end a sentence too: a capital letter after them begins the next one.
constexpr std::array<std::u32string_view, 10> kAbbreviations = {U"etc",  U"no",  U"vol", U"fig", U"approx",
                                                                U"dept", U"est", U"ed",  U"pp",  U"cf"};
// espeak cuts off a word of more than some 60 phonemes and a phrase of more than 800 characters.
constexpr std::size_t kLongestWord = 48;
constexpr std::size_t kWordPiece = 24;
constexpr std::size_t kLongestPhrase = 240;

std::u32string lower_ascii(std::u32string_view word) {
  std::u32string out(word);
  for (char32_t& c : out) c += c >= U'A' && c <= U'Z' ? 0x20 : 0;
  return out;
}

template <std::size_t N>
bool contains(const std::array<std::u32string_view, N>& words, std::u32string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Letters with a point between each two: "U.S", or a single one.
bool is_initials(std::u32string_view word) {
  if (word.size() % 2 == 0) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const bool fits = i % 2 ? word[i] == U'.' : has(word[i], kAlphanumeric) && !has(word[i], kDecimal);
    if (!fits) return false;
  }
  return true;
}

/// Whether a point after `word` is part of it: at the very end, or before a mark, it is a full stop. `following` is 0 at the
/// end.
bool point_belongs(std::u32string_view word, char32_t following) {
  if (following != U',' && (following == 0 || !has(following, kAlphanumeric))) return false;
  const std::u32string lower = lower_ascii(word);
  if (contains(kAbbreviations, lower)) return !has(following, kUpper);
  return contains(kTitles, lower) || (word != U"I" && is_initials(word));
}

class Scanner {
 public:
  Scanner(const NormalizedText& text, std::string_view language)
      : in_(text),
        text_(text.text),
        has_decimal_comma_(std::find(kDecimalComma.begin(), kDecimalComma.end(), language) != kDecimalComma.end()) {}

  std::vector<TextItem> run() {
    for (std::size_t position = 0; position < text_.size();) position = step(position);
    end_phrase();
    return std::move(items_);
  }

 private:
  std::size_t step(std::size_t position) {
    const char32_t c = text_[position];
    if (c == U' ' && in_.tags[position] == NormalizedText::kNoTag) {
      if (!phrase_.empty() && phrase_.back().end - phrase_.front().begin > kLongestPhrase) end_phrase();
      if (phrase_.empty() && !(!items_.empty() && items_.back().mark != 0 && is_in(kBrackets, items_.back().mark))) add(U' ');
      return position + 1;
    }
    if (is_mark(position)) {
      if (c == U'.' && !phrase_.empty() && phrase_.back().end == position && is_abbreviation(phrase_.back())) {
        // espeak reads "U.S." with its last point better than without.
        ++phrase_.back().end;
      }
      end_phrase();
      if (is_in(kOpeningMarks, c) && position > 0 && text_[position - 1] == U' ') add(U' ');
      add(c);
      return position + 1;
    }
    TextWord word = read_word(position);
    word.joined = !phrase_.empty() && phrase_.back().end == position;
    phrase_.push_back(word);
    if (is_cut(word)) end_phrase();
    return word.end;
  }

  void add(char32_t mark) { items_.push_back({mark, {}}); }

  void end_phrase() {
    if (!phrase_.empty()) items_.push_back({0, std::exchange(phrase_, {})});
  }

  TextWord read_word(std::size_t begin) const {
    const int tag = in_.tags[begin];
    std::size_t end = begin + 1;
    while (end < text_.size() && in_.tags[end] == tag) {
      if (tag == NormalizedText::kNoTag && (text_[end] == U' ' || is_mark(end))) break;
      ++end;
    }
    if (tag == NormalizedText::kNoTag && end - begin > kLongestWord) end = begin + kWordPiece;
    return {begin, end, tag, false};
  }

  /// Whether the word is a piece of a longer one, which espeak must not see in one piece.
  bool is_cut(const TextWord& word) const {
    if (word.tag != NormalizedText::kNoTag || word.end - word.begin < kWordPiece || word.end == text_.size()) return false;
    return text_[word.end] != U' ' && !is_mark(word.end);
  }

  bool is_abbreviation(const TextWord& word) const {
    const std::u32string_view spelled = text_.substr(word.begin, word.end - word.begin);
    return is_in(spelled, U'.') && is_initials(spelled);
  }

  bool is(std::size_t position, Property property) const { return position < text_.size() && has(text_[position], property); }

  /// Whether the character ends a phrase.
  bool is_mark(std::size_t position) const {
    const char32_t c = text_[position];
    if (!is_in(kMarks, c) || in_.tags[position] != NormalizedText::kNoTag) return false;
    const bool after_digit = position > 0 && is(position - 1, kDigit);
    switch (c) {
      case U',':
        return !(after_digit && (has_decimal_comma_ ? is(position + 1, kDigit) : is_thousands(position + 1)));
      case U':':
        return !(after_digit && is(position + 1, kDigit)) && text_.substr(position + 1, 1) != U"/";
      case U'.':
        break;
      default:
        return true;
    }
    if (is(position + 1, kAlphanumeric)) return false;
    std::size_t begin = position;
    while (begin > 0 && text_[begin - 1] != U' ' && (text_[begin - 1] == U'.' || !is_in(kMarks, text_[begin - 1]))) --begin;
    const std::size_t following = text_.find_first_not_of(U' ', position + 1);
    return !point_belongs(text_.substr(begin, position - begin), following == text_.npos ? 0 : text_[following]);
  }

  /// Three decimal digits and no more.
  bool is_thousands(std::size_t begin) const {
    return is(begin, kDecimal) && is(begin + 1, kDecimal) && is(begin + 2, kDecimal) && !is(begin + 3, kDecimal);
  }

  const NormalizedText& in_;
  std::u32string_view text_;
  bool has_decimal_comma_;
  std::vector<TextItem> items_;
  std::vector<TextWord> phrase_;
};

}  // namespace

std::vector<TextItem> find_phrases(const NormalizedText& text, std::string_view language) {
  return Scanner(text, language).run();
}

}  // namespace koe::text
