// SPDX-License-Identifier: Apache-2.0
// Finds where sentences and clauses end in text that may still grow. Each judgement reads only a bounded stretch after
// its place, and says "more" instead of guessing when that stretch isn't there yet: that makes the pieces independent of
// how the text comes in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "koe/splitter.hpp"

namespace koe::text {

class BoundaryScanner {
 public:
  explicit BoundaryScanner(const SplitOptions& options) : options_(options) {}

  void append(char32_t c) { text_.push_back(c); }

  /// Text that belongs to no finished piece.
  [[nodiscard]] std::u32string_view pending() const noexcept { return std::u32string_view(text_).substr(piece_); }

  /// Calls `emit` with each piece that is complete. At the end of the text that is all there is; start anew after it.
  template <typename Emit>
  void scan(bool at_end, Emit&& emit) {
    at_end_ = at_end;
    while (const std::size_t length = next_piece()) {
      emit(std::u32string_view(text_).substr(piece_ - length, length));
    }
    if (at_end && piece_ < text_.size()) emit(pending());
    drop_finished();
  }

 private:
  enum class Line { prose, heading, list_item, quote, alone };  // alone: a rule, a fence, a table row
  enum class Verdict { none, boundary, more };

  struct Judgement {
    Verdict verdict;
    std::size_t end;  // where the boundary is, or where to read on
  };

  struct State {
    std::size_t at = 0;                 // next character to read
    std::optional<std::size_t> token;   // where the current run without spaces begins
    std::optional<std::size_t> content; // the piece's first letter or digit
    std::optional<std::size_t> line_begin;  // the line's first character that is no space, if it is in the piece
    std::size_t text_end = 0;           // after the last character that is no space
    Line line = Line::prose;
    bool at_line_start = true;
    bool in_address = false;  // the token is a URL or an e-mail address
  };

  struct NextWord {
    enum class Kind { more, nothing, lower, upper, digit, other } kind;
    bool starter = false;   // of a sentence
    bool capitals = false;  // two to four: a time zone, an acronym
  };

  /// Length of the piece that ends next, 0 if that can't be told yet.
  std::size_t next_piece();
  std::size_t finish(std::size_t end);
  std::size_t force();
  void drop_finished();

  void pass(std::size_t end);
  void pass_line_break(bool boundary);

  [[nodiscard]] Judgement judge_line_break() const;
  [[nodiscard]] Judgement judge_unit(std::size_t i) const;
  [[nodiscard]] Judgement judge_stop(std::size_t i) const;
  [[nodiscard]] Verdict judge_abbreviation(std::size_t stop) const;
  [[nodiscard]] Judgement judge_clause(std::size_t i) const;
  [[nodiscard]] std::optional<Line> classify_line(std::size_t i) const;
  [[nodiscard]] NextWord next_word(std::size_t i, bool whole) const;

  [[nodiscard]] bool lacks(std::size_t i) const noexcept { return i >= text_.size() && !at_end_; }
  /// NUL past the end, where no rule looks for one.
  [[nodiscard]] char32_t peek(std::size_t i) const noexcept { return i < text_.size() ? text_[i] : U'\0'; }
  [[nodiscard]] bool is_end_or_space(std::size_t i) const noexcept;

  SplitOptions options_;
  std::u32string text_;
  std::size_t piece_ = 0;  // where the current piece begins
  State state_;
  std::optional<State> last_space_;   // where a piece that grows too long can be cut
  std::optional<State> last_clause_;
  bool first_ = true;
  bool at_end_ = false;
};

}  // namespace koe::text
