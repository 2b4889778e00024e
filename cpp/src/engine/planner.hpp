// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "koe/g2p.hpp"
#include "koe/splitter.hpp"
#include "koe/tokenizer.hpp"

namespace koe {

/// A word in a chunk: its place in the whole text and in the chunk's phonemes, in code points.
struct ChunkWord {
  std::size_t text_begin;
  std::size_t text_end;
  std::size_t phoneme_begin;
  std::size_t phoneme_end;
};

/// What goes through the model at once.
struct PlannedChunk {
  std::u32string phonemes;
  std::vector<ChunkWord> words;  ///< that begin in it
  std::string dropped;           ///< parts of the text without pronunciation
};

/// Text to chunks, made as they are asked for. What it is given must outlive it.
class Planner {
 public:
  using Speak = std::function<Phonemes(std::string_view sentence)>;

  /// `speak` is the G2P.
  Planner(std::string_view text, Speak speak, const Tokenizer& tokenizer);

  /// Phonemes in place of text: words are what stands between spaces, without marks.
  static Planner of_phonemes(std::string_view phonemes, const Tokenizer& tokenizer);

  /// The next chunk, or nothing after the last.
  std::optional<PlannedChunk> next();

 private:
  struct Sentence {
    std::size_t begin;  ///< in the text, in code points
    std::u32string phonemes;
    std::vector<WordSpan> words;
    std::string dropped;
  };

  explicit Planner(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void read_sentence();
  void divide(bool is_last);
  static Sentence part_of(const Sentence& sentence, std::size_t begin, std::size_t end);

  const Tokenizer& tokenizer_;
  std::string_view text_;
  Speak speak_;
  std::vector<TextSpan> spans_;
  std::size_t next_span_ = 0;
  std::vector<Sentence> group_;
  std::string silent_;  ///< what sentences without a sound dropped
  std::vector<PlannedChunk> ready_;
  std::size_t next_ready_ = 0;
};

}  // namespace koe
