// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace koe::text {

/// What a full stop after a word says, by the word.
enum class Abbreviation {
  none,       ///< an ordinary word: the stop ends the sentence
  inner,      ///< never ends a sentence: titles before a name, e.g., i.e., vs.
  number,     ///< belongs to a number that follows (No. 5), else the word is an ordinary one
  either,     ///< ends the sentence unless a lower-case word, a digit or a mark follows (etc., Inc., Jan.)
  name_part,  ///< as `either`, but a capital need not begin a sentence: only a word that usually does (U.S., St., J.)
};

/// `word` is what stands before the stop, without opening marks: "Dr", "e.g", "U.S", "J".
Abbreviation abbreviation(std::u32string_view word) noexcept;

/// A capitalised word that mostly begins a sentence and hardly ever is a name: "The", "However".
bool is_sentence_starter(std::u32string_view word) noexcept;

/// The longest of those words.
inline constexpr std::size_t kLongestStarter = 8;

}  // namespace koe::text
