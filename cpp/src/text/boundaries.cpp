// SPDX-License-Identifier: Apache-2.0
#include "text/boundaries.hpp"

#include <algorithm>
#include <utility>

#include "text/abbreviations.hpp"
#include "text/characters.hpp"

namespace koe::text {
namespace {

// How far a judgement may look: these bound what is held back.
constexpr std::size_t kMaxMarks = 64;      // stops and closing marks after a stop
constexpr std::size_t kMaxSpaces = 256;    // between a stop or a line's end and what follows
constexpr std::size_t kMaxUnitText = 128;  // the text of a link, a code span
constexpr std::size_t kMaxUnitTarget = 512;

constexpr bool is_dash(char32_t c) noexcept { return is_in(U"—―", c); }
constexpr bool is_spaced_dash(char32_t c) noexcept { return is_in(U"-–", c); }
constexpr bool is_clause_mark(char32_t c) noexcept { return is_in(U",;:)，、；：）،؛", c) || is_dash(c) || is_spaced_dash(c); }
constexpr bool is_full_width_clause_mark(char32_t c) noexcept { return is_in(U"，、；：）", c); }
constexpr bool is_bullet(char32_t c) noexcept { return is_in(U"-*+•‣◦▪·–—", c); }

}  // namespace

bool BoundaryScanner::is_end_or_space(std::size_t i) const noexcept { return i >= text_.size() || is_space(text_[i]); }

std::size_t BoundaryScanner::next_piece() {
  while (true) {
    const std::size_t i = state_.at;
    // One judgement may have passed over many characters.
    if (i - piece_ > options_.max_chars) return force();
    if (i >= text_.size()) return 0;
    if (i - piece_ == options_.max_chars) return force();
    const char32_t c = text_[i];

    if (is_newline(c)) {
      const Judgement judgement = state_.content ? judge_line_break() : Judgement{Verdict::none, i};
      if (judgement.verdict == Verdict::more) return 0;
      const bool boundary = judgement.verdict == Verdict::boundary;
      if (!boundary && state_.content && state_.text_end == i) last_space_ = state_;
      const std::size_t length = boundary ? finish(state_.text_end) : 0;
      pass_line_break(boundary);
      if (boundary) return length;
      continue;
    }
    if (is_space(c)) {
      if (state_.content && state_.text_end == i) last_space_ = state_;
      state_.token.reset();
      state_.in_address = false;
      ++state_.at;
      continue;
    }
    if (state_.at_line_start) {
      const std::optional<Line> line = classify_line(i);
      if (!line) return 0;
      // A list item goes on in the lines below that are indented.
      if (*line != Line::prose || state_.line != Line::list_item) state_.line = *line;
      state_.line_begin = i;
      state_.at_line_start = false;
    }
    if (!state_.token) state_.token = i;

    if (c == U'[' || c == U'`') {
      const Judgement unit = judge_unit(i);
      if (unit.verdict == Verdict::more) return 0;
      if (!state_.content && unit.end > i + 1 && text_[i + 1] != U'`') state_.content = i;
      pass(unit.end);
    } else if (is_stop(c)) {
      const Judgement stop = judge_stop(i);
      if (stop.verdict == Verdict::more) return 0;
      pass(stop.end);
      if (stop.verdict == Verdict::boundary) return stop.end - piece_ > options_.max_chars ? force() : finish(stop.end);
    } else if (is_clause_mark(c)) {
      const Judgement clause = judge_clause(i);
      if (clause.verdict == Verdict::more) return 0;
      pass(clause.end);
      if (clause.verdict == Verdict::boundary && clause.end - piece_ <= options_.max_chars) {
        const std::size_t least = first_ ? options_.first_clause_min_chars : options_.clause_min_chars;
        if (least != 0 && clause.end - *state_.content >= least) return finish(clause.end);
        last_clause_ = state_;
      }
    } else {
      if (!state_.content && is_word(c)) state_.content = i;
      // Ideographs follow an address without a space.
      if (is_cjk(c)) state_.in_address = false;
      const bool scheme = c == U'/' && i >= *state_.token + 2 && text_[i - 1] == U'/' && text_[i - 2] == U':';
      const bool host = c == U'w' && i == *state_.token + 2 && text_[i - 1] == U'w' && text_[i - 2] == U'w';
      if (scheme || host || (c == U'@' && i > *state_.token)) state_.in_address = true;
      pass(i + 1);
    }
  }
}

void BoundaryScanner::pass(std::size_t end) {
  state_.at = end;
  state_.text_end = end;
}

void BoundaryScanner::pass_line_break(bool boundary) {
  if (boundary || !state_.content) state_.line = Line::prose;
  state_.token.reset();
  state_.in_address = false;
  state_.at_line_start = true;
  ++state_.at;
}

std::size_t BoundaryScanner::finish(std::size_t end) {
  const std::size_t length = end - piece_;
  piece_ = end;
  state_.content.reset();
  state_.token.reset();
  state_.in_address = false;
  last_space_.reset();
  last_clause_.reset();
  first_ = false;
  return length;
}

std::size_t BoundaryScanner::force() {
  const std::size_t limit = piece_ + options_.max_chars;
  const bool clause = last_clause_ && last_clause_->at - piece_ >= options_.max_chars / 2;
  if (const auto& place = clause ? last_clause_ : last_space_) {
    state_ = State(*place);
    return finish(state_.at);
  }
  // Back to the start of a character as the eye sees it, unless that is far.
  constexpr std::size_t kMaxBack = 32;
  std::size_t end = limit;
  for (std::size_t i = limit; i > piece_ + 1 && i + kMaxBack > limit; --i) {
    if (!is_attached(text_[i]) && text_[i - 1] != 0x200D) {
      end = i;
      break;
    }
  }
  state_.at = end;
  state_.text_end = std::min(state_.text_end, end);
  const bool in_address = state_.in_address;
  const std::size_t length = finish(end);
  state_.in_address = in_address;
  return length;
}

void BoundaryScanner::drop_finished() {
  if (piece_ == 0) return;
  text_.erase(0, piece_);
  for (State* state : {&state_, last_space_ ? &*last_space_ : nullptr, last_clause_ ? &*last_clause_ : nullptr}) {
    if (state == nullptr) continue;
    const auto shift = [this](std::size_t& i) { i -= std::min(i, piece_); };
    if (state->line_begin && *state->line_begin < piece_) state->line_begin.reset();
    if (state->line_begin) shift(*state->line_begin);
    shift(state->at);
    shift(state->text_end);
    if (state->token) shift(*state->token);
    if (state->content) shift(*state->content);
  }
  piece_ = 0;
}

BoundaryScanner::Judgement BoundaryScanner::judge_line_break() const {
  const std::size_t i = state_.at;
  const Judgement boundary{Verdict::boundary, i};
  const Judgement none{Verdict::none, i};
  if (is_in(U"\f\u2029", text_[i]) || state_.line == Line::heading || state_.line == Line::alone) return boundary;
  if (is_in(U":：", text_[state_.text_end - 1])) return boundary;
  std::size_t next = i + 1;
  while (next < text_.size() && is_space(text_[next])) {
    if (is_newline(text_[next]) || next - i >= kMaxSpaces) return boundary;
    ++next;
  }
  if (lacks(next)) return {Verdict::more, i};
  if (next >= text_.size()) return none;
  const std::optional<Line> line = classify_line(next);
  if (!line) return {Verdict::more, i};
  if (*line == Line::quote && state_.line == Line::quote) return none;
  if (*line != Line::prose || state_.line == Line::quote) return boundary;
  if (state_.line == Line::list_item && next - i < 3) return boundary;
  return none;
}

std::optional<BoundaryScanner::Line> BoundaryScanner::classify_line(std::size_t i) const {
  const char32_t c = text_[i];
  const auto run = [this](std::size_t begin, std::size_t most) {
    std::size_t end = begin;
    while (end < text_.size() && end - begin < most && text_[end] == text_[begin]) ++end;
    return end;
  };
  if (c == U'>') return Line::quote;
  if (c == U'|') return Line::alone;
  if (c == U'#') {
    const std::size_t end = run(i, 7);
    if (lacks(end)) return std::nullopt;
    return end - i <= 6 && is_end_or_space(end) ? Line::heading : Line::prose;
  }
  if (is_in(U"-*_=`~", c)) {
    const std::size_t end = run(i, 3);
    if (end - i == 3) return Line::alone;
    if (lacks(end)) return std::nullopt;
    return is_bullet(c) && end == i + 1 && is_end_or_space(end) ? Line::list_item : Line::prose;
  }
  if (is_bullet(c)) {
    if (lacks(i + 1)) return std::nullopt;
    return is_end_or_space(i + 1) ? Line::list_item : Line::prose;
  }
  // "1. ", "12) ", "(3) ", "a) ", "(b) "
  std::size_t end = i + (c == U'(' ? 1 : 0);
  if (lacks(end)) return std::nullopt;
  const bool letter = is_ascii_letter(peek(end));
  if (letter) {
    ++end;
  } else {
    const std::size_t first = end;
    while (end - first < 9 && is_digit(peek(end))) ++end;
    if (end == first) return lacks(end) ? std::nullopt : std::optional(Line::prose);
  }
  if (lacks(end)) return std::nullopt;
  if (peek(end) != U')' && (peek(end) != U'.' || letter || c == U'(')) return Line::prose;
  if (lacks(end + 1)) return std::nullopt;
  return is_end_or_space(end + 1) ? Line::list_item : Line::prose;
}

/// `[text](target)` and `code`: nothing inside them is a boundary.
BoundaryScanner::Judgement BoundaryScanner::judge_unit(std::size_t i) const {
  const Judgement more{Verdict::more, i};
  const Judgement none{Verdict::none, i + 1};
  const auto find = [this](std::size_t from, std::size_t most, char32_t wanted, std::u32string_view unwanted) {
    std::size_t at = from;
    while (at < text_.size() && at - from < most && text_[at] != wanted && !is_newline(text_[at]) &&
           !is_in(unwanted, text_[at])) {
      ++at;
    }
    return at;
  };
  if (text_[i] == U'`') {
    std::size_t run = i;
    while (run < text_.size() && run - i < kMaxMarks && text_[run] == U'`') ++run;
    if (lacks(run) && run - i < kMaxMarks) return more;
    if (run > i + 1) return {Verdict::none, run};
    const std::size_t end = find(i + 1, kMaxUnitText, U'`', U"");
    if (lacks(end)) return more;
    return peek(end) == U'`' ? Judgement{Verdict::none, end + 1} : none;
  }
  const std::size_t close = find(i + 1, kMaxUnitText, U']', U"[");
  if (lacks(close) || (peek(close) == U']' && lacks(close + 1))) return more;
  if (peek(close) != U']' || peek(close + 1) != U'(') return none;
  if (lacks(close + 2)) return more;
  // Phonemes may have spaces and brackets in them, and end with "/)"; an address has neither.
  if (peek(close + 2) == U'/') {
    std::size_t end = close + 3;
    while (true) {
      end = find(end, close + 3 + kMaxUnitTarget - end, U'/', U"");
      if (lacks(end) || (peek(end) == U'/' && lacks(end + 1))) return more;
      if (peek(end) != U'/') break;
      if (peek(end + 1) == U')') return {Verdict::none, end + 2};
      ++end;
    }
  }
  const std::size_t end = find(close + 2, kMaxUnitTarget, U')', U" \t(");
  if (lacks(end)) return more;
  return peek(end) == U')' ? Judgement{Verdict::none, end + 1} : none;
}

BoundaryScanner::NextWord BoundaryScanner::next_word(std::size_t i, bool whole) const {
  using Kind = NextWord::Kind;
  const std::size_t from = i;
  std::size_t n_newlines = 0;
  for (; i < text_.size() && is_space(text_[i]); ++i) {
    n_newlines += is_newline(text_[i]);
    if (n_newlines > 1 || i - from >= kMaxSpaces) return {Kind::nothing};
  }
  const std::size_t marks = i;
  while (i < text_.size() && i - marks < 4 && (is_opening_mark(text_[i]) || is_emphasis(text_[i]))) ++i;
  if (lacks(i)) return {Kind::more};
  if (i >= text_.size()) return {Kind::nothing};
  const char32_t c = text_[i];
  if (is_lower(c)) return {Kind::lower};
  if (is_digit(c)) return {Kind::digit};
  if (!is_upper(c)) return {Kind::other};
  if (!whole) return {Kind::upper};
  std::size_t end = i;
  bool capitals = true;
  while (end < text_.size() && end - i <= kLongestStarter && (is_lower(text_[end]) || is_upper(text_[end]))) {
    capitals = capitals && is_upper(text_[end]);
    ++end;
  }
  if (lacks(end)) return {Kind::more};
  const std::size_t length = end - i;
  // "I." and "A." are initials.
  const bool starter = is_sentence_starter(std::u32string_view(text_).substr(i, length)) && (length > 1 || peek(end) != U'.');
  return {Kind::upper, starter, capitals && length >= 2 && length <= 4};
}

BoundaryScanner::Judgement BoundaryScanner::judge_stop(std::size_t i) const {
  using Kind = NextWord::Kind;
  std::size_t end = i;
  std::size_t n_dots = 0;
  bool strong = false;      // ! or ? or their like
  bool full_width = false;
  bool closed = false;      // a quote or bracket closes after the stop
  for (; end < text_.size() && end - i < kMaxMarks; ++end) {
    const char32_t c = text_[end];
    if (is_stop(c)) {
      n_dots += c == U'.' ? 1 : c == U'…' ? 3 : 0;
      full_width = full_width || is_full_width_stop(c);
      strong = strong || (c != U'.' && c != U'…');
    } else if (is_closing_mark(c)) {
      closed = true;
    } else if (c == U'[') {
      // A footnote's mark, as in "end.[12]", belongs to the sentence.
      std::size_t close = end + 1;
      while (close - end < 4 && is_digit(peek(close))) ++close;
      if (lacks(close)) return {Verdict::more, i};
      if (close == end + 1 || peek(close) != U']') break;
      end = close;
    } else if (!is_emphasis(c) && !is_emoji(c)) {
      break;
    }
  }
  if (lacks(end)) return {Verdict::more, i};
  const Judgement none{Verdict::none, end};
  const Judgement boundary{Verdict::boundary, end};
  if (!state_.content || end >= text_.size() || end - i >= kMaxMarks) return none;

  const char32_t next = text_[end];
  const bool spaced = is_space(next);
  if (full_width) {
    // In Japanese, a quotation goes on with と; in any language, with a comma.
    return closed && is_in(U"と，、,", next) ? none : boundary;
  }
  const bool ellipsis = n_dots > 1 && !strong;
  if (!spaced) {
    if (is_in(U"“‘«„「『", next)) return state_.in_address ? none : boundary;
    if (is_cjk(next)) return i > piece_ && is_digit(text_[i - 1]) ? none : boundary;
    const bool after_letter = i > piece_ && is_word(text_[i - 1]) && !is_digit(text_[i - 1]);
    return strong && after_letter && is_upper(next) && !state_.in_address ? boundary : none;
  }
  if (closed || ellipsis) {
    const Kind kind = next_word(end, false).kind;
    if (kind == Kind::more) return {Verdict::more, i};
    if (kind == Kind::lower) return none;
    return boundary;
  }
  if (strong || end != i + 1) return boundary;
  const Verdict verdict = judge_abbreviation(i);
  return {verdict, verdict == Verdict::more ? i : end};
}

BoundaryScanner::Verdict BoundaryScanner::judge_abbreviation(std::size_t stop) const {
  using Kind = NextWord::Kind;
  std::size_t begin = *state_.token;
  while (begin < stop && (is_opening_mark(text_[begin]) || is_emphasis(text_[begin]))) ++begin;
  const std::u32string_view word = std::u32string_view(text_).substr(begin, stop - begin);

  // "2. Do this": the number of a list, at the beginning of the line or the sentence, or after a colon.
  const bool after_colon = begin > piece_ + 1 && is_space(text_[begin - 1]) && text_[begin - 2] == U':';
  const bool alone = begin == state_.line_begin || begin == state_.content || after_colon;
  if (alone && !word.empty() && word.size() <= 3 && std::all_of(word.begin(), word.end(), is_digit)) return Verdict::none;

  const Abbreviation kind = abbreviation(word);
  if (kind == Abbreviation::none) return Verdict::boundary;
  const NextWord next = next_word(stop + 1, kind == Abbreviation::either || kind == Abbreviation::name_part);
  if (next.kind == Kind::more) return Verdict::more;
  if (next.kind == Kind::nothing) return Verdict::boundary;
  bool ends = false;
  switch (kind) {
    case Abbreviation::number:
      ends = next.kind != Kind::digit;
      break;
    case Abbreviation::either:
      ends = next.kind == Kind::upper && (next.starter || !next.capitals);
      break;
    case Abbreviation::name_part:
      ends = next.kind == Kind::upper && next.starter;
      break;
    default:
      break;
  }
  return ends ? Verdict::boundary : Verdict::none;
}

BoundaryScanner::Judgement BoundaryScanner::judge_clause(std::size_t i) const {
  const char32_t c = text_[i];
  std::size_t end = i + 1;
  if (is_dash(c) || is_spaced_dash(c)) {
    while (end < text_.size() && end - i < kMaxMarks && text_[end] == c) ++end;
  } else {
    while (end < text_.size() && end - i < kMaxMarks && (is_closing_mark(text_[end]) || is_emphasis(text_[end]))) ++end;
  }
  if (lacks(end)) return {Verdict::more, i};
  // What follows a closing bracket may be the mark that matters.
  const bool followed = is_end_or_space(end);
  const bool led = i > piece_ && is_space(text_[i - 1]);
  bool ends = followed;
  if (is_full_width_clause_mark(c)) {
    ends = !is_full_width_clause_mark(peek(end)) && !is_stop(peek(end));
  } else if (is_dash(c)) {
    ends = !is_digit(peek(end));
  } else if (is_spaced_dash(c)) {
    ends = followed ? led : c == U'-' && end - i > 1 && i > piece_ && is_word(text_[i - 1]) && is_word(peek(end));
  }
  return {ends && state_.content && end < text_.size() ? Verdict::boundary : Verdict::none, end};
}

}  // namespace koe::text
