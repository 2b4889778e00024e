// SPDX-License-Identifier: Apache-2.0
#include "text/normalize.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "text/characters.hpp"
#include "text/unicode.hpp"

namespace koe::text {
namespace {

struct Respelling {
  std::u32string_view characters;
  std::u32string_view as;
};

// Each becomes a character of the vocabulary, a letter, or a space that espeak reads well.
constexpr std::array kRespellings = {
    Respelling{U"‘’‛′`´ʼ", U"'"},   Respelling{U"‟″", U"\""},         Respelling{U"«‹„〈《「『〝", U"“"},
    Respelling{U"»›〉》」』〞〟", U"”"}, Respelling{U"[{【〔〖（［｛", U"("}, Respelling{U"]}】〕〗）］｝", U")"},
    Respelling{U"、，﹐､", U", "},  Respelling{U"。．｡।॥", U". "},     Respelling{U"！", U"! "},
    Respelling{U"？", U"? "},       Respelling{U"；", U"; "},         Respelling{U"：", U": "},
    Respelling{U"‥⋯", U"…"},        Respelling{U"―⸺⸻─", U"—"},        Respelling{U"‐‑−", U"-"},
    Respelling{U"‒", U"–"},         Respelling{U"・~〜～", U" "},     Respelling{U"¡¿", U""},
    Respelling{U"\uFFFD", U"\uFFFD"},
};
constexpr std::u32string_view kRepeatable = U";:,.!?…—\"“”()";

std::u32string respelled(char32_t c) {
  for (const Respelling& respelling : kRespellings) {
    if (is_in(respelling.characters, c)) return std::u32string(respelling.as);
  }
  if (c >= 0xFF01 && c <= 0xFF5E) return {c - 0xFEE0};
  if (std::u32string spelled = spelling(c); !spelled.empty()) return spelled;
  if (has(c, kSpace)) return U" ";
  if (has(c, kInvisible)) return {};
  return {c};
}

/// Normalises text[begin, end) and appends it.
void append(NormalizedText& out, std::u32string_view text, std::size_t begin, std::size_t end, int tag) {
  while (begin < end) {
    std::size_t stop = begin + 1;
    while (stop < end && combining_class(text[stop]) != 0) ++stop;
    const std::u32string_view original = text.substr(begin, stop - begin);
    for (const char32_t c : original.size() > 1 ? compose(original) : std::u32string(original)) {
      std::u32string normalized;
      if (tag == NormalizedText::kNoTag && has(c, kUnreadable)) {
        out.dropped.emplace_back(begin, original);
        normalized.push_back(U' ');  // a gap, so that the words on both sides stay two words
      } else {
        normalized = respelled(c);
      }
      out.text += normalized;
      out.spans.insert(out.spans.end(), normalized.size(), {begin, stop});
      out.tags.insert(out.tags.end(), normalized.size(), tag);
    }
    begin = stop;
  }
}

struct Inline {
  std::size_t word_begin, word_end, sound_begin, sound_end, end;
};

/// `[word](/sound/)` that begins at text[begin].
std::optional<Inline> find_inline(std::u32string_view text, std::size_t begin) {
  if (text[begin] != U'[') return std::nullopt;
  Inline found{};
  found.word_begin = begin + 1;
  found.word_end = text.find_first_of(U"[]\n", found.word_begin);
  if (found.word_end == text.npos || found.word_end == found.word_begin) return std::nullopt;
  if (text.substr(found.word_end, 3) != U"](/") return std::nullopt;
  found.sound_begin = found.word_end + 3;
  found.sound_end = text.find_first_of(U"/\n", found.sound_begin);
  if (found.sound_end == text.npos || text.substr(found.sound_end, 2) != U"/)") return std::nullopt;
  found.end = found.sound_end + 2;
  return found;
}

/// Replaces what `match(text, position, replacement)` finds, which returns its length or 0; each new character comes from
/// the whole match. Inline pronunciations stay.
template <typename Match>
void substitute(NormalizedText& in, Match match) {
  NormalizedText out;
  const auto keep = [&](std::size_t begin, std::size_t end) {
    out.text.append(in.text, begin, end - begin);
    out.spans.insert(out.spans.end(), in.spans.begin() + static_cast<std::ptrdiff_t>(begin),
                     in.spans.begin() + static_cast<std::ptrdiff_t>(end));
    out.tags.insert(out.tags.end(), in.tags.begin() + static_cast<std::ptrdiff_t>(begin),
                    in.tags.begin() + static_cast<std::ptrdiff_t>(end));
  };
  for (std::size_t i = 0; i < in.text.size();) {
    char32_t replacement = 0;
    const std::size_t length = match(std::u32string_view(in.text), i, replacement);
    const auto tags = in.tags.begin() + static_cast<std::ptrdiff_t>(i);
    const auto is_tagged = [](int tag) { return tag != NormalizedText::kNoTag; };
    if (length == 0) {
      keep(i, i + 1);
      ++i;
      continue;
    }
    if (std::any_of(tags, tags + static_cast<std::ptrdiff_t>(length), is_tagged)) {
      keep(i, i + length);
    } else {
      out.text.push_back(replacement);
      out.spans.emplace_back(in.spans[i].first, in.spans[i + length - 1].second);
      out.tags.push_back(NormalizedText::kNoTag);
    }
    i += length;
  }
  in.text = std::move(out.text);
  in.spans = std::move(out.spans);
  in.tags = std::move(out.tags);
}

std::size_t run_of(std::u32string_view text, std::size_t i) {
  std::size_t end = i + 1;
  while (end < text.size() && text[end] == text[i]) ++end;
  return end - i;
}

/// "..." and ". . ."
std::size_t match_ellipsis(std::u32string_view text, std::size_t i, char32_t& replacement) {
  if (text[i] != U'.') return 0;
  replacement = U'…';
  if (const std::size_t n = run_of(text, i); n >= 3) return n;
  std::size_t n_spaced = 0;
  while (text.substr(i + 2 * n_spaced, 2) == U". ") ++n_spaced;
  // The last point needs no space; without it, the last spaced one is the last.
  if (text.substr(i + 2 * n_spaced, 1) != U".") n_spaced -= n_spaced > 0;
  return n_spaced >= 2 ? 2 * n_spaced + 1 : 0;
}

/// "--", a hyphen between spaces, and an en dash that is not between digits.
std::size_t match_dash(std::u32string_view text, std::size_t i, char32_t& replacement) {
  replacement = U'—';
  const auto is = [&](std::size_t at, Property property) { return at < text.size() && has(text[at], property); };
  if (text[i] == U'-') {
    if (const std::size_t n = run_of(text, i); n >= 2) return n;
    return i > 0 && is(i - 1, kSpace) && is(i + 1, kSpace) ? 1 : 0;
  }
  return text[i] == U'–' && !(i > 0 && is(i - 1, kDecimal) && is(i + 1, kDecimal)) ? 1 : 0;
}

std::size_t match_repeated(std::u32string_view text, std::size_t i, char32_t& replacement) {
  if (!is_in(kRepeatable, text[i])) return 0;
  replacement = text[i];
  const std::size_t n = run_of(text, i);
  return n >= 2 ? n : 0;
}

}  // namespace

std::u32string single_spaced(std::u32string_view text) {
  std::u32string out;
  bool is_gap = false;
  for (const char32_t c : text) {
    if (has(c, kSpace)) {
      is_gap = !out.empty();
      continue;
    }
    if (is_gap) out.push_back(U' ');
    is_gap = false;
    out.push_back(c);
  }
  return out;
}

NormalizedText normalize(std::u32string_view text) {
  NormalizedText out;
  std::size_t position = 0;
  for (std::size_t i = text.find(U'['); i < text.size();) {
    const auto found = find_inline(text, i);
    if (!found) {
      i = text.find(U'[', i + 1);
      continue;
    }
    append(out, text, position, i, NormalizedText::kNoTag);
    append(out, text, found->word_begin, found->word_end, static_cast<int>(out.pronunciations.size()));
    out.pronunciations.push_back(single_spaced(text.substr(found->sound_begin, found->sound_end - found->sound_begin)));
    position = found->end;
    i = text.find(U'[', position);
  }
  append(out, text, position, text.size(), NormalizedText::kNoTag);
  substitute(out, match_ellipsis);
  substitute(out, match_dash);
  substitute(out, match_repeated);
  return out;
}

}  // namespace koe::text
