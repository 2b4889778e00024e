// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// A stretch of text, in code points and in bytes of the UTF-8 given; the ends are exclusive.
struct TextSpan {
  std::size_t begin;
  std::size_t end;
  std::size_t begin_byte;
  std::size_t end_byte;
};

struct SplitOptions {
  /// The first piece may end with a clause if it has at least this many code points by then; 0 for sentences only.
  std::size_t first_clause_min_chars = 0;
  /// The same for every later piece.
  std::size_t clause_min_chars = 0;
  /// A piece that reaches this many code points is cut there: after a clause in its second half, else before a space,
  /// else anywhere, though not before a combining mark. At least 1.
  std::size_t max_chars = 2000;
};

/// Cuts text that arrives bit by bit into sentences, each as soon as it is certain.
///
/// The pieces in order are the whole text: none of it is lost, repeated or changed, except that bytes that are not
/// valid UTF-8 become U+FFFD. Spaces and line breaks lead the piece after them, since the piece before has gone by then;
/// those that end the text are a piece of their own. Pieces don't depend on how the text is cut into pushes, which may
/// even be within a character. Only what is ambiguous is held back: "3." before "14", "Dr." before a name, a stop before
/// a closing quote; never more than max_chars and about a thousand code points.
///
/// What ends a sentence: . ! ? … and their kin with the closing quotes and brackets after them, not in abbreviations,
/// initials, numbers, addresses, `[word](/wɜːd/)`, links and `code`; a blank line; the end of a line that is a heading,
/// a list item or a table row, that ends with a colon, or that is followed by one of those. A single line break in prose
/// is no end. A piece always has a letter or a digit, unless the text, or what is left at its end, has none.
///
/// Not safe for use by two threads at once.
class KOE_API StreamSplitter {
 public:
  /// Throws std::invalid_argument if max_chars is 0.
  explicit StreamSplitter(const SplitOptions& options = {});
  StreamSplitter(StreamSplitter&&) noexcept;
  StreamSplitter& operator=(StreamSplitter&&) noexcept;
  ~StreamSplitter();

  /// Takes the next bytes of the text; returns the pieces that are complete now.
  std::vector<std::string> push(std::string_view utf8);

  /// The text is over: returns what is left, and starts anew.
  std::vector<std::string> flush();

  /// Forgets what is held back, and starts anew.
  void reset();

  /// How many code points are held back.
  [[nodiscard]] std::size_t pending() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Sentences of a whole text, as StreamSplitter gives them, except that spaces at its end belong to the last one. The
/// spans are contiguous and cover the text; empty text has none.
KOE_API std::vector<TextSpan> split_sentences(std::string_view utf8);

/// The same, ending at clauses too, once a piece has min_chars code points: after , ; : before a space (so not in 1,000
/// or 10:30), after a closing bracket or a dash, and after their full-width forms. Throws std::invalid_argument if
/// min_chars is 0.
KOE_API std::vector<TextSpan> split_clauses(std::string_view utf8, std::size_t min_chars = 1);

}  // namespace koe
