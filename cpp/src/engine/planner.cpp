// SPDX-License-Identifier: Apache-2.0
#include "engine/planner.hpp"

#include <algorithm>
#include <utility>

#include "koe/chunker.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace koe {
namespace {

// Sentences are chunked together until they have this many phonemes: chunks stay balanced, and memory doesn't grow with the
// text.
constexpr std::size_t kGroupPhonemes = 1'500;

std::vector<WordSpan> words_of(std::u32string_view phonemes) {
  std::vector<WordSpan> words;
  const auto is_spoken = [](char32_t c) { return text::has(c, text::kLetter); };
  for (std::size_t begin = 0; begin < phonemes.size();) {
    std::size_t end = std::min(phonemes.find(U' ', begin), phonemes.size());
    const std::size_t next = end + 1;
    while (begin < end && !is_spoken(phonemes[begin])) ++begin;
    while (end > begin && !is_spoken(phonemes[end - 1])) --end;
    if (begin < end) words.push_back({begin, end, begin, end});
    begin = next;
  }
  return words;
}

}  // namespace

Planner::Planner(std::string_view text, Speak speak, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), text_(text), speak_(std::move(speak)), spans_(split_sentences(text)) {}

Planner Planner::of_phonemes(std::string_view phonemes, const Tokenizer& tokenizer) {
  Planner planner(tokenizer);
  std::u32string decoded = text::to_utf32(phonemes);
  std::vector<WordSpan> words = words_of(decoded);
  planner.group_.push_back({0, std::move(decoded), std::move(words), {}});
  return planner;
}

std::optional<PlannedChunk> Planner::next() {
  while (next_ready_ == ready_.size()) {
    ready_.clear();
    next_ready_ = 0;
    if (next_span_ < spans_.size()) {
      read_sentence();
    } else if (!group_.empty()) {
      divide(true);
    } else if (!silent_.empty()) {
      return PlannedChunk{{}, {}, std::exchange(silent_, {})};
    } else {
      return std::nullopt;
    }
  }
  return std::move(ready_[next_ready_++]);
}

void Planner::read_sentence() {
  const TextSpan span = spans_[next_span_++];
  Phonemes spoken = speak_(text_.substr(span.begin_byte, span.end_byte - span.begin_byte));
  std::string dropped = std::exchange(silent_, {}) + spoken.dropped;
  if (spoken.phonemes.empty()) {
    // No chunk will hold this sentence; what it dropped goes to the next.
    silent_ = std::move(dropped);
    return;
  }
  group_.push_back({span.begin, text::to_utf32(spoken.phonemes), std::move(spoken.words), std::move(dropped)});
  std::size_t n_phonemes = 0;
  for (const Sentence& sentence : group_) n_phonemes += sentence.phonemes.size();
  if (n_phonemes >= kGroupPhonemes) divide(false);
}

void Planner::divide(bool is_last) {
  std::vector<std::string> sentences;
  for (const Sentence& sentence : group_) sentences.push_back(text::to_utf8(sentence.phonemes));
  std::vector<Chunk> chunks = chunk_phonemes(sentences, tokenizer_);
  Chunk last;
  if (!is_last && chunks.size() > 1) {
    // The last chunk takes part in the next group, so that no group ends with a stub.
    last = std::move(chunks.back());
    chunks.pop_back();
  }
  for (const Chunk& chunk : chunks) {
    PlannedChunk& out = ready_.emplace_back();
    for (const auto& [index, begin, end] : chunk) {
      const Sentence part = part_of(group_[index], begin, end);
      const bool has_space = out.phonemes.ends_with(U' ') || part.phonemes.starts_with(U' ');
      if (!out.phonemes.empty() && !has_space && begin == 0) out.phonemes.push_back(U' ');
      for (const auto& [text_begin, text_end, phoneme_begin, phoneme_end] : part.words) {
        out.words.push_back({part.begin + text_begin, part.begin + text_end, phoneme_begin + out.phonemes.size(),
                             phoneme_end + out.phonemes.size()});
      }
      out.phonemes += part.phonemes;
      out.dropped += part.dropped;
    }
  }
  std::vector<Sentence> rest;
  for (const auto& [index, begin, end] : last) rest.push_back(part_of(group_[index], begin, end));
  group_ = std::move(rest);
}

/// A stretch of a sentence's phonemes; what was dropped goes with its beginning.
Planner::Sentence Planner::part_of(const Sentence& sentence, std::size_t begin, std::size_t end) {
  Sentence part{sentence.begin, sentence.phonemes.substr(begin, end - begin), {}, begin == 0 ? sentence.dropped : ""};
  for (const WordSpan& word : sentence.words) {
    if (word.phoneme_begin < begin || word.phoneme_begin >= end) continue;
    part.words.push_back(
        {word.text_begin, word.text_end, word.phoneme_begin - begin, std::min(word.phoneme_end, end) - begin});
  }
  return part;
}

}  // namespace koe
