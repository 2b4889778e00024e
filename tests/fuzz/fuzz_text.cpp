// SPDX-License-Identifier: Apache-2.0
// Any bytes: spans cover the text, pieces don't depend on the cutting, chunks cover the phonemes within the limit.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "koe/chunker.hpp"
#include "koe/splitter.hpp"
#include "koe/tokenizer.hpp"
#include "text/utf8.hpp"

namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
  }
}

void check_spans(std::string_view text, const std::vector<koe::TextSpan>& spans) {
  koe::TextSpan last{0, 0, 0, 0};
  for (const auto& span : spans) {
    require(span.begin == last.end && span.begin_byte == last.end_byte && span.begin < span.end, "spans are contiguous");
    last = span;
  }
  require(last.end_byte == text.size() && last.end == koe::text::to_utf32(text).size(), "spans cover the text");
}

std::vector<std::string> stream(std::string_view text, const koe::SplitOptions& options, std::size_t step) {
  koe::StreamSplitter splitter(options);
  std::vector<std::string> pieces;
  const auto add = [&pieces](std::vector<std::string> more) {
    for (auto& piece : more) pieces.push_back(std::move(piece));
  };
  for (std::size_t i = 0; i < text.size(); i += step) add(splitter.push(text.substr(i, step)));
  add(splitter.flush());
  return pieces;
}

void check_stream(std::string_view text, const koe::SplitOptions& options, std::size_t step) {
  const auto whole = stream(text, options, text.size() + 1);
  require(whole == stream(text, options, step), "pieces don't depend on the cutting");
  std::string joined;
  for (const auto& piece : whole) {
    require(koe::text::to_utf32(piece).size() <= options.max_chars, "pieces keep to the limit");
    joined += piece;
  }
  require(joined == koe::text::to_utf8(koe::text::to_utf32(text)), "pieces are the text");
}

void check_chunks(std::string_view text, const koe::Tokenizer& tokenizer, const koe::ChunkOptions& options) {
  std::vector<std::string> sentences;
  std::vector<std::u32string> characters;
  for (const auto& span : koe::split_sentences(text)) {
    sentences.emplace_back(text.substr(span.begin_byte, span.end_byte - span.begin_byte));
    characters.push_back(koe::text::to_utf32(sentences.back()));
  }
  std::size_t sentence = 0;
  std::size_t position = 0;
  for (const auto& chunk : koe::chunk_phonemes(sentences, tokenizer, options)) {
    std::size_t n_tokens = 0;
    for (const auto& piece : chunk) {
      require(piece.sentence == sentence && piece.begin == position && piece.begin < piece.end, "chunks cover in order");
      for (std::size_t i = piece.begin; i < piece.end; ++i) n_tokens += tokenizer.id(characters[sentence].at(i)) != 0;
      position = piece.end;
      if (position == characters[sentence].size()) {
        ++sentence;
        position = 0;
      }
    }
    require(n_tokens <= options.max_tokens, "chunks keep to the limit");
  }
  require(sentence == sentences.size(), "chunks cover everything");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::size_t step = 1 + data[0] % 16;
  const std::size_t max_chars = 1 + data[1];
  const std::size_t least = data[2] % 32;
  const std::size_t max_tokens = 1 + data[3] % 64;
  const std::string_view text(reinterpret_cast<const char*>(data) + 4, size - 4);

  check_spans(text, koe::split_sentences(text));
  check_spans(text, koe::split_clauses(text, least + 1));
  check_stream(text, {.first_clause_min_chars = least, .clause_min_chars = least / 2, .max_chars = max_chars}, step);
  check_stream(text, {.max_chars = 2000}, step);

  static constexpr std::array<koe::Tokenizer::Entry, 8> kVocabulary{
      {{U' ', 1}, {U'.', 2}, {U',', 3}, {U'a', 4}, {U'ˈ', 5}, {U'ː', 6}, {U'0', 7}, {U'😀', 8}}};
  static const koe::Tokenizer tokenizer(kVocabulary);
  const koe::Encoding encoding = tokenizer.encode(text);
  require(encoding.ids.size() + encoding.dropped.size() == koe::text::to_utf32(text).size(), "no character is lost");
  require(tokenizer.count(tokenizer.decode(encoding.ids)) == encoding.ids.size(), "decoding undoes encoding");
  check_chunks(text, tokenizer, {.max_tokens = max_tokens, .target_tokens = 1 + max_tokens / 2});
  return 0;
}
