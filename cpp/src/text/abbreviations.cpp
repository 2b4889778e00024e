// SPDX-License-Identifier: Apache-2.0
#include "text/abbreviations.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include "text/characters.hpp"

namespace koe::text {
namespace {

// In lower case. Titles count with a capital only: "5 ms." is none.
constexpr auto kTitles = std::to_array<std::u32string_view>({
    U"adm", U"br", U"brig", U"capt", U"cmdr", U"col", U"cpl", U"dr", U"dra", U"fr", U"gen", U"gov", U"hon", U"lt",
    U"maj", U"messrs", U"mlle", U"mme", U"mr", U"mrs", U"ms", U"msgr", U"mt", U"mx", U"pres", U"prof", U"pvt", U"rep",
    U"rev", U"sen", U"sgt", U"sra", U"srta", U"supt"});
constexpr auto kInner = std::to_array<std::u32string_view>({
    U"a.k.a", U"approx", U"c.f", U"cf", U"e.g", U"eg", U"esp", U"i.e", U"incl", U"n.b", U"viz", U"vs", U"w.r.t",
    U"z.b"});
constexpr auto kNumbered = std::to_array<std::u32string_view>({
    U"art", U"ch", U"chap", U"eq", U"eqs", U"fig", U"figs", U"nr", U"no", U"nos", U"op", U"p", U"para", U"pg", U"pl",
    U"pp", U"pt", U"sec", U"sect", U"tab", U"v", U"ver", U"vol", U"vols"});
constexpr auto kEither = std::to_array<std::u32string_view>({
    U"a.m", U"al", U"assn", U"assoc", U"bros", U"bzw", U"c.e", U"co", U"corp", U"dept", U"ed", U"eds", U"est",
    U"et.al", U"etc", U"ext", U"ft", U"hr", U"hrs", U"inc", U"kg", U"km", U"lb", U"lbs", U"llc", U"ltd", U"misc",
    U"oz", U"p.m", U"resp", U"sq", U"tel", U"univ"});
// Of these, too, only the capitalised form is an abbreviation: "he sat." is not Saturday.
constexpr auto kDates = std::to_array<std::u32string_view>({
    U"apr", U"aug", U"dec", U"feb", U"fri", U"jan", U"jul", U"jun", U"mar", U"mon", U"nov", U"oct", U"sat", U"sep",
    U"sept", U"sun", U"thu", U"thurs", U"tue", U"wed"});
constexpr auto kNameParts = std::to_array<std::u32string_view>({
    U"ave", U"blvd", U"b.sc", U"hwy", U"jr", U"m.sc", U"mtn", U"ph.d", U"rd", U"st"});

constexpr auto kStarters = std::to_array<std::u32string_view>({
    U"A", U"After", U"All", U"Also", U"Although", U"And", U"Another", U"Are", U"As", U"At", U"Because", U"Before",
    U"Both", U"But", U"By", U"Can", U"Could", U"Did", U"Do", U"Does", U"Each", U"Every", U"For", U"From", U"Had",
    U"Has", U"Have", U"He", U"Her", U"Here", U"His", U"How", U"However", U"I", U"If", U"In", U"Is", U"It", U"Its",
    U"Let", U"Many", U"Most", U"My", U"No", U"Not", U"Now", U"On", U"Once", U"Or", U"Our", U"Please", U"She",
    U"Should", U"Since", U"So", U"Some", U"That", U"The", U"Their", U"Then", U"There", U"These", U"They", U"This",
    U"Those", U"To", U"Was", U"We", U"Were", U"What", U"When", U"Where", U"Which", U"While", U"Who", U"Why", U"Will",
    U"With", U"You"});

template <std::size_t N>
bool has(const std::array<std::u32string_view, N>& words, std::u32string_view word) noexcept {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Letters and stops in turn, one letter each: "U.S", "a.m", "J". A single small letter is none: it may be a variable.
bool is_initials(std::u32string_view word) noexcept {
  if (word.size() % 2 == 0 || (word.size() == 1 && !is_upper(word[0]))) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (i % 2 == 0 ? !is_lower(word[i]) && !is_upper(word[i]) : word[i] != U'.') return false;
  }
  return true;
}

}  // namespace

Abbreviation abbreviation(std::u32string_view word) noexcept {
  constexpr std::size_t kLongest = 15;
  if (word.empty() || word.size() > kLongest) return Abbreviation::none;
  std::array<char32_t, kLongest> folded{};
  std::transform(word.begin(), word.end(), folded.begin(), [](char32_t c) { return c >= U'A' && c <= U'Z' ? c + 32 : c; });
  const std::u32string_view lower(folded.data(), word.size());
  const bool capital = is_upper(word[0]);
  if (has(kInner, lower) || (capital && has(kTitles, lower))) return Abbreviation::inner;
  if (has(kNumbered, lower) && !(word.size() == 1 && capital)) return Abbreviation::number;
  if (has(kEither, lower) || (capital && has(kDates, lower))) return Abbreviation::either;
  if (has(kNameParts, lower) || (capital && lower == U"sr") || is_initials(word)) return Abbreviation::name_part;
  return Abbreviation::none;
}

bool is_sentence_starter(std::u32string_view word) noexcept { return has(kStarters, word); }

}  // namespace koe::text
