// SPDX-License-Identifier: Apache-2.0
// Places where the phonemes may be cut are listed with their kind and the tokens before them, rising strictly in tokens,
// so a chunk's end sees at most max_tokens starts. Dynamic programming then finds the division of least cost.
#include "koe/chunker.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "text/characters.hpp"
#include "text/utf8.hpp"

namespace koe {
namespace {

enum class Break : std::uint8_t { sentence, clause, word, inside };

// On the scale where a chunk of twice the target costs 1 before the penalty for rushing: a word break must cost less than
// a chunk of 450, an inner one more than any chunk, so that it comes only where a word is longer than a chunk may be.
constexpr std::array<double, 4> kBreakCost{0.02, 0.5, 2.0, 10'000.0};
// Above this the model rushes.
constexpr double kRushedTokens = 400.0;

struct Cut {
  std::size_t sentence;
  std::size_t position;  // in code points; the end of a sentence rather than the start of the next
  std::size_t end;       // tokens up to here, for a chunk that ends here
  std::size_t start;     // the same for a chunk that starts here: the joining space is not its own
  Break kind;
};

/// Cost of a chunk by its number of tokens.
std::vector<double> length_costs(std::size_t max_tokens, std::size_t target_tokens) {
  const auto target = static_cast<double>(target_tokens);
  const double rushed = std::max(kRushedTokens, 1.6 * target);
  const double slope = std::max(0.275 * kRushedTokens, 0.44 * target);
  const double stub = std::min(20.0, target / 4);
  const double brief = std::min(50.0, target / 2);
  std::vector<double> costs(max_tokens + 1);
  for (std::size_t n = 0; n <= max_tokens; ++n) {
    const auto length = static_cast<double>(n);
    const auto squared = [](double x) { return x * x; };
    double cost = squared((length - target) / target);
    if (length > rushed) cost += 8 * squared((length - rushed) / slope);
    if (length < stub) cost += 3 * (stub - length) / stub;
    if (length < brief) cost += 0.5 * squared((brief - length) / brief);
    costs[n] = cost;
  }
  return costs;
}

class CutList {
 public:
  CutList(const Tokenizer& tokenizer, std::size_t max_tokens) : tokenizer_(tokenizer), max_tokens_(max_tokens) {
    cuts_.push_back({0, 0, 0, 0, Break::sentence});
  }

  void add_sentence(std::size_t sentence, std::u32string_view text) {
    if (text.empty()) return;
    // The space the caller puts between sentences is a token too, though not of a chunk that starts here.
    if (!ends_in_space_ && !text::is_space(text.front()) && tokenizer_.id(U' ') != 0) {
      if (cuts_.size() > 1 && cuts_.back().end == tokens_) ++cuts_.back().start;
      ++tokens_;
    }
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t word_end = skip_word(text, begin);
      const std::size_t end = skip_spaces(text, word_end);
      const std::size_t n_tokens = count(text, begin, end);
      if (tokens_ + n_tokens - cuts_.back().start > max_tokens_) add_inside(sentence, text, begin, end);
      tokens_ += n_tokens;
      add(sentence, end, tokens_, end == text.size() ? Break::sentence : kind_of(text, begin, word_end));
      begin = end;
    }
    ends_in_space_ = text::is_space(text.back());
  }

  std::vector<Cut> take() && { return std::move(cuts_); }

 private:
  /// To the end of a word: before a space, or after a dash or full-width mark inside it.
  static std::size_t skip_word(std::u32string_view text, std::size_t i) {
    while (i < text.size() && !text::is_space(text[i])) {
      if (text::is_in(U"—―，、；：。！？｡", text[i++])) {
        while (i < text.size() && (text::is_closing_mark(text[i]) || text::is_stop(text[i]))) ++i;
        break;
      }
    }
    return i;
  }

  static std::size_t skip_spaces(std::u32string_view text, std::size_t i) {
    while (i < text.size() && text::is_space(text[i])) ++i;
    return i;
  }

  /// What the end of the word [begin, end) is the end of: its last mark before closing quotes tells.
  static Break kind_of(std::u32string_view text, std::size_t begin, std::size_t end) {
    bool bracket = false;
    for (std::size_t i = end; i > begin; --i) {
      const char32_t c = text[i - 1];
      if (c == U'…') return Break::clause;
      if (text::is_stop(c)) return Break::sentence;
      if (text::is_in(U",;:—―–，、；：،؛", c)) return Break::clause;
      if (!text::is_closing_mark(c)) break;
      bracket = bracket || text::is_in(U")]}）】", c);
    }
    return bracket ? Break::clause : Break::word;
  }

  std::size_t count(std::u32string_view text, std::size_t begin, std::size_t end) const {
    std::size_t n = 0;
    for (std::size_t i = begin; i < end; ++i) n += tokenizer_.id(text[i]) != 0;
    return n;
  }

  /// A word, with its spaces, that no chunk can hold: cuts a few tokens apart, and before each run of spaces.
  void add_inside(std::size_t sentence, std::u32string_view text, std::size_t begin, std::size_t end) {
    const std::size_t step = std::min<std::size_t>(8, max_tokens_);
    const std::size_t patience = std::min(2 * step, max_tokens_);
    std::size_t tokens = tokens_;
    std::size_t since = tokens_ - cuts_.back().start;
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t n = tokenizer_.id(text[i]) != 0;
      const bool at_space = i > begin && text::is_space(text[i]) && !text::is_space(text[i - 1]);
      // A stress mark belongs to what follows it, a length mark or a diacritic to what precedes it.
      const bool bound = text::is_attached(text[i]) || is_modifier(text[i]) || (i > 0 && text::is_in(U"ˈˌ", text[i - 1]));
      if (since + n > patience || (n != 0 && since >= step && !bound) || (at_space && since > 0)) {
        add(sentence, i, tokens, at_space ? Break::word : Break::inside);
        since = 0;
      }
      tokens += n;
      since += n;
    }
  }

  static constexpr bool is_modifier(char32_t c) { return c >= 0x2B0 && c <= 0x2FF && !text::is_in(U"ˈˌ", c); }

  void add(std::size_t sentence, std::size_t position, std::size_t tokens, Break kind) {
    const Cut cut{sentence, position, tokens, tokens, kind};
    // Characters outside the vocabulary weigh nothing: of the cuts among them one stays, the best.
    if (cuts_.back().end < tokens) {
      cuts_.push_back(cut);
    } else if (cuts_.size() > 1 && kind <= cuts_.back().kind) {
      cuts_.back() = cut;
    }
  }

  const Tokenizer& tokenizer_;
  std::size_t max_tokens_;
  std::vector<Cut> cuts_;
  std::size_t tokens_ = 0;
  bool ends_in_space_ = true;
};

/// The cuts to make, in order, by index; the first (the start) is left out and the last is the end.
std::vector<std::size_t> best_division(const std::vector<Cut>& cuts, const ChunkOptions& options) {
  const std::size_t target = std::min(options.target_tokens, options.max_tokens);
  const std::vector<double> length_cost = length_costs(options.max_tokens, target);
  std::vector<double> cost(cuts.size(), std::numeric_limits<double>::infinity());
  std::vector<std::size_t> from(cuts.size(), 0);
  cost[0] = 0;
  for (std::size_t i = 1; i < cuts.size(); ++i) {
    const double here = i + 1 == cuts.size() ? 0.0 : kBreakCost[static_cast<std::size_t>(cuts[i].kind)];
    for (std::size_t j = i; j-- > 0;) {
      const std::size_t n_tokens = cuts[i].end - cuts[j].start;
      if (n_tokens > options.max_tokens) break;
      const double total = cost[j] + length_cost[n_tokens] + here;
      if (total < cost[i]) {
        cost[i] = total;
        from[i] = j;
      }
    }
  }
  std::vector<std::size_t> division;
  for (std::size_t i = cuts.size() - 1; i > 0; i = from[i]) division.push_back(i);
  std::reverse(division.begin(), division.end());
  return division;
}

}  // namespace

std::vector<Chunk> chunk_phonemes(std::span<const std::string> sentences, const Tokenizer& tokenizer,
                                  const ChunkOptions& options) {
  if (options.max_tokens < 1 || options.max_tokens > kMaxTokens) {
    throw std::invalid_argument("max_tokens is " + std::to_string(options.max_tokens) + ", but the model takes 1 to " +
                                std::to_string(kMaxTokens));
  }
  if (options.target_tokens < 1) throw std::invalid_argument("target_tokens is 0");

  CutList list(tokenizer, options.max_tokens);
  std::vector<std::size_t> lengths;
  lengths.reserve(sentences.size());
  for (std::size_t s = 0; s < sentences.size(); ++s) {
    const std::u32string sentence = text::to_utf32(sentences[s]);
    list.add_sentence(s, sentence);
    lengths.push_back(sentence.size());
  }
  const std::vector<Cut> cuts = std::move(list).take();

  std::vector<Chunk> chunks;
  Chunk chunk;
  std::size_t sentence = 0;
  std::size_t position = 0;
  const auto fill_to = [&](std::size_t end_sentence, std::size_t end_position) {
    for (; sentence < end_sentence; ++sentence, position = 0) {
      if (position < lengths[sentence]) chunk.push_back({sentence, position, lengths[sentence]});
    }
    if (sentence < lengths.size() && position < end_position) {
      chunk.push_back({sentence, position, end_position});
      position = end_position;
    }
  };
  for (const std::size_t i : best_division(cuts, options)) {
    fill_to(cuts[i].sentence, cuts[i].position);
    if (i + 1 == cuts.size()) break;  // what has no tokens at the end stays with the last chunk
    chunks.push_back(std::move(chunk));
    chunk.clear();
  }
  fill_to(lengths.size(), 0);
  if (!chunk.empty()) chunks.push_back(std::move(chunk));
  return chunks;
}

std::vector<Chunk> chunk_phonemes(std::string_view phonemes, const Tokenizer& tokenizer, const ChunkOptions& options) {
  const std::array<std::string, 1> sentences{std::string(phonemes)};
  return chunk_phonemes(std::span<const std::string>(sentences), tokenizer, options);
}

}  // namespace koe
