// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// Most tokens the model takes at once, without the pad (id 0) that the caller puts at each end.
inline constexpr std::size_t kMaxTokens = 510;

/// A character that the vocabulary lacks, and its index in the encoded text, in code points.
struct DroppedCharacter {
  char32_t character;
  std::size_t index;
};

/// Token ids of a text. Every character is in it once: as a token, or among the dropped.
struct Encoding {
  std::vector<std::int64_t> ids;      ///< one a known character; no pads, no limit of length
  std::vector<std::int64_t> indices;  ///< for each id, the index of its character, in code points, rising
  std::vector<DroppedCharacter> dropped;
};

/// Maps phoneme characters to the model's token ids, one character to one id. Immutable, so safe to share by threads.
///
/// Text is UTF-8; bytes that are not valid become U+FFFD, one for each maximal bad part, as the WHATWG decoder does.
class KOE_API Tokenizer {
 public:
  struct Entry {
    char32_t character;
    std::int64_t id;
  };

  /// The vocabulary may list the pad (id 0): its character is never encoded, so no text can forge a pad.
  /// Where two characters share an id, the first listed is what `decode` gives.
  /// Throws std::invalid_argument on no entries, a character given twice, or an id outside 0…65535.
  explicit Tokenizer(std::span<const Entry> vocabulary);

  /// Ids of the known characters, in order, and what was dropped. Neither pads nor cuts at kMaxTokens: chunk first.
  [[nodiscard]] Encoding encode(std::string_view utf8) const;

  /// How many ids `encode` would give.
  [[nodiscard]] std::size_t count(std::string_view utf8) const;

  /// The characters of the ids; pads (id 0) are left out. Throws std::invalid_argument on an id not in the vocabulary.
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const;

  /// The id of a character, 0 if it has none.
  [[nodiscard]] std::int64_t id(char32_t character) const noexcept {
    return character < 0x110000 ? pages_[page_of_[character >> 8]][character & 0xFF] : 0;
  }

  /// The entries as given.
  [[nodiscard]] std::span<const Entry> vocabulary() const noexcept { return vocabulary_; }

 private:
  using Page = std::array<std::uint16_t, 256>;

  std::vector<Entry> vocabulary_;
  std::vector<Page> pages_;  // page 0 is empty: most of Unicode shares it
  std::array<std::uint16_t, 0x1100> page_of_{};
  std::vector<char32_t> character_of_;
};

}  // namespace koe
