// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "koe/export.hpp"
#include "koe/tokenizer.hpp"

namespace koe {

/// A stretch of one sentence's phonemes, [begin, end) in code points; never empty.
struct ChunkPiece {
  std::size_t sentence;
  std::size_t begin;
  std::size_t end;
};

/// What goes through the model at once: pieces in reading order.
using Chunk = std::vector<ChunkPiece>;

struct ChunkOptions {
  /// No chunk has more tokens than this; 1…kMaxTokens.
  std::size_t max_tokens = kMaxTokens;
  /// The length chunks tend to where the text has to be divided: the model is at its best with 50 to 150 tokens, and the
  /// vocoder's memory grows with the longest chunk. The default makes chunks of about 80 to 240 tokens, longer ones only of
  /// sentences without a good break; it avoids those above 400, where the model rushes, and those under 20, where it is
  /// weak. Above max_tokens it means max_tokens.
  std::size_t target_tokens = 150;
};

/// Divides phonemes into chunks for the model. All pieces in order are exactly the input, nothing lost or repeated. A
/// chunk without any token (nothing to say) comes only where the input, or a stretch that fits nowhere else, has none.
/// Breaks are at the ends of sentences, else of clauses (, ; : — … and closing brackets), else of words, and inside a
/// word only if it is longer than max_tokens; spaces stay with the word before them. Of all such divisions the one with
/// the least cost is chosen (length against target, kind of break), so chunks are balanced and stubs avoided.
///
/// Only characters in the vocabulary count. Where pieces of two sentences meet in a chunk and neither has a space
/// there, the caller is to put one: it is counted.
///
/// Time is linear in the input. Throws std::invalid_argument if max_tokens is not in 1…kMaxTokens or target_tokens is 0.
KOE_API std::vector<Chunk> chunk_phonemes(std::span<const std::string> sentences, const Tokenizer& tokenizer,
                                          const ChunkOptions& options = {});

/// The same for one string, which may hold any number of sentences; ChunkPiece::sentence is 0.
KOE_API std::vector<Chunk> chunk_phonemes(std::string_view phonemes, const Tokenizer& tokenizer,
                                          const ChunkOptions& options = {});

}  // namespace koe
