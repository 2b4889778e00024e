// SPDX-License-Identifier: Apache-2.0
// From espeak-ng's phonemes to Kokoro's.
//
// A rule set is data: an ordered list of steps, applied to the whole string one after the other. Input is espeak-ng's IPA
// with `^` as the tie; output holds no tie. Sources: misaki (espeak.py, Apache-2.0) for version 1.0, the code published with
// Kokoro v0.19 for the older one.
#include "text/phoneme_rules.hpp"

#include <span>
#include <stdexcept>

#include "koe/g2p.hpp"
#include "text/characters.hpp"
#include "text/normalize.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace koe {
namespace text {
namespace {

constexpr char32_t kSyllabicMark = 0x329;
// Stands for: any character but space with the syllabic mark on it gets ᵊ before it instead.
constexpr std::u32string_view kSyllabic = U"\u0329";

constexpr std::u32string_view kLetters = U"abcdefghijklmnopqrstuvwxyzɹː";
constexpr std::u32string_view kEndings = U";:,.!?¡¿—…\"«»“” ";

// The longest come first.
constexpr RuleStep kEnglish[] = {
    {U"ʔˌn\u0329", U"ʔn"}, {U"ʔn\u0329", U"ʔn"}, {U"a^ɪ", U"I"},  {U"a^ʊ", U"W"}, {U"d^ʒ", U"ʤ"},
    {U"e^ɪ", U"A"},        {U"t^ʃ", U"ʧ"},       {U"ɔ^ɪ", U"Y"},  {U"ə^l", U"ᵊl"}, {U"ʲo", U"jo"},
    {U"ʲə", U"jə"},        {U"e", U"A"},         {U"ʲ", U""},     {U"ɚ", U"əɹ"},  {U"r", U"ɹ"},
    {U"x", U"k"},          {U"ç", U"k"},         {U"ɐ", U"ə"},    {U"ɬ", U"l"},   {U"\u0303", U""},
    {kSyllabic, U"ᵊ"},
};
// The diphthongs that begin with e or i go first here: after "e" has become "A" the rule for e^ə could never apply, and
// espeak-ng 1.52 ties the vowels of "here", which older releases left untied.
constexpr RuleStep kBritishFirst[] = {{U"e^ə", U"ɛː"}, {U"i^ə", U"ɪə"}};
constexpr RuleStep kBritish[] = {{U"iə", U"ɪə"}, {U"ə^ʊ", U"Q"}};
constexpr RuleStep kAmerican[] = {{U"o^ʊ", U"O"}, {U"ɜːɹ", U"ɜɹ"}, {U"ɜː", U"ɜɹ"}, {U"ɪə", U"iə"}, {U"ː", U""}};
constexpr RuleStep kEnglishLast[] = {{U"o", U"ɔ"}, {U"ɾ", U"T"}, {U"ʔ", U"t"}, {U"^", U""}};

// Other languages keep their vowels, nasal marks and length; only affricates and diphthongs have letters of their own.
constexpr RuleStep kOther[] = {
    {U"a^ɪ", U"I"}, {U"a^ʊ", U"W"}, {U"d^z", U"ʣ"}, {U"d^ʒ", U"ʤ"}, {U"e^ɪ", U"A"}, {U"o^ʊ", U"O"}, {U"ə^ʊ", U"Q"},
    {U"s^s", U"S"}, {U"t^s", U"ʦ"}, {U"t^ʃ", U"ʧ"}, {U"ɔ^ɪ", U"Y"},
    // espeak-ng's retroflex flap of Hindi, whose point is no full stop.
    {U"r.", U"ɽ"},
    {U"^", U""},    {U"-", U""},
};

constexpr RuleStep kVersion019[] = {
    {U"^", U""},
    {U"kəkˈoːɹoʊ", U"kˈoʊkəɹoʊ"},
    {U"kəkˈɔːɹoʊ", U"kˈoʊkəɹoʊ"},
    {U"kəkˈɔːɹəʊ", U"kˈəʊkəɹəʊ"},
    {U"ʲ", U"j"},
    {U"r", U"ɹ"},
    {U"x", U"k"},
    {U"ɬ", U"l"},
    {.find = U"hˈʌndɹɪd", .replace = U" hˈʌndɹɪd", .before = kLetters},
    {.find = U" z", .replace = U"z", .after = kEndings, .or_at_end = true},
};
constexpr RuleStep kVersion019American[] = {{.find = U"nˈaɪnti", .replace = U"nˈaɪndi", .not_after = U"ː"}};

std::u32string unmark_syllables(std::u32string_view phonemes) {
  std::u32string out;
  for (std::size_t i = 0; i < phonemes.size(); ++i) {
    if (i + 1 < phonemes.size() && phonemes[i + 1] == kSyllabicMark && !has(phonemes[i], kSpace)) {
      // A mark on a mark is dropped with the marks that stand on nothing.
      out.push_back(U'ᵊ');
      if (phonemes[i] != kSyllabicMark) out.push_back(phonemes[i]);
      ++i;
    } else if (phonemes[i] != kSyllabicMark) {
      out.push_back(phonemes[i]);
    }
  }
  return out;
}

bool applies(const RuleStep& step, std::u32string_view phonemes, std::size_t at) {
  const std::size_t end = at + step.find.size();
  const bool is_last = end == phonemes.size();
  if (!step.before.empty() && (at == 0 || !is_in(step.before, phonemes[at - 1]))) return false;
  if (!step.after.empty() && !(is_last ? step.or_at_end : is_in(step.after, phonemes[end]))) return false;
  return is_last || step.not_after.empty() || !is_in(step.not_after, phonemes[end]);
}

std::u32string apply(const RuleStep& step, std::u32string phonemes) {
  if (step.find == kSyllabic) return unmark_syllables(phonemes);
  std::size_t at = phonemes.find(step.find);
  if (at == phonemes.npos) return phonemes;
  std::u32string out;
  std::size_t position = 0;
  while (at != phonemes.npos) {
    if (!applies(step, phonemes, at)) {
      at = phonemes.find(step.find, at + 1);
      continue;
    }
    out.append(phonemes, position, at - position).append(step.replace);
    position = at + step.find.size();
    at = phonemes.find(step.find, position);
  }
  return out.append(phonemes, position);
}

/// Marks of words that were read by another language's rules, such as "(fr)", go; the tie becomes "^".
std::u32string without_flags(std::u32string_view espeak) {
  std::u32string out;
  for (std::size_t i = 0; i < espeak.size(); ++i) {
    if (espeak[i] == U'(') {
      const std::size_t end = espeak.find_first_of(U"()", i + 1);
      if (end != espeak.npos && espeak[end] == U')') {
        i = end;
        continue;
      }
    }
    if (espeak[i] != U'_') out.push_back(espeak[i] == 0x361 ? U'^' : espeak[i]);
  }
  return out;
}

}  // namespace

std::vector<RuleStep> rule_steps(std::string_view language, std::string_view rules) {
  std::vector<RuleStep> steps;
  const auto add = [&steps](std::span<const RuleStep> more) {
    for (const RuleStep& step : more) steps.push_back(step);
  };
  if (rules == "0.19") {
    add(kVersion019);
    if (language == "en-us") add(kVersion019American);
  } else if (rules != "1.0") {
    throw std::invalid_argument("unknown phoneme rules '" + std::string(rules) + "'; there are '1.0' and '0.19'");
  } else if (language == "en-us") {
    add(kEnglish);
    add(kAmerican);
    add(kEnglishLast);
  } else if (language == "en-gb") {
    add(kBritishFirst);
    add(kEnglish);
    add(kBritish);
    add(kEnglishLast);
  } else {
    add(kOther);
  }
  return steps;
}

std::u32string apply_rules(std::u32string phonemes, const std::vector<RuleStep>& steps) {
  for (const RuleStep& step : steps) phonemes = apply(step, std::move(phonemes));
  return phonemes;
}

}  // namespace text

std::string apply_phoneme_rules(std::string_view phonemes, std::string_view language, std::string_view rules) {
  return text::to_utf8(text::apply_rules(text::to_utf32(phonemes), text::rule_steps(language, rules)));
}

std::string map_phonemes(std::string_view espeak, std::string_view language, std::string_view rules) {
  const auto steps = text::rule_steps(language, rules);
  return text::to_utf8(text::single_spaced(text::apply_rules(text::without_flags(text::to_utf32(espeak)), steps)));
}

}  // namespace koe
