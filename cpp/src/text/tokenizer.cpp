// SPDX-License-Identifier: Apache-2.0
#include "koe/tokenizer.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "text/utf8.hpp"

namespace koe {
namespace {

constexpr std::int64_t kMaxId = 0xFFFF;
constexpr char32_t kNoCharacter = 0xFFFFFFFF;

std::string code_point_name(char32_t c) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string name;
  do {
    name.insert(name.begin(), kDigits[c & 0xF]);
    c >>= 4;
  } while (c != 0 || name.size() < 4);
  return "U+" + name;
}

}  // namespace

Tokenizer::Tokenizer(std::span<const Entry> vocabulary) : vocabulary_(vocabulary.begin(), vocabulary.end()), pages_(1) {
  if (vocabulary.empty()) throw std::invalid_argument("the vocabulary is empty");
  std::unordered_set<char32_t> seen;
  std::int64_t top = 0;
  for (const auto& [character, id] : vocabulary) {
    const std::string name = code_point_name(character);
    if (character >= 0x110000 || (character >= 0xD800 && character < 0xE000)) {
      throw std::invalid_argument("the vocabulary holds " + name + ", which is no character");
    }
    if (id < 0 || id > kMaxId) {
      throw std::invalid_argument("the vocabulary gives " + name + " the id " + std::to_string(id) +
                                  ", which is outside 0…" + std::to_string(kMaxId));
    }
    if (!seen.insert(character).second) throw std::invalid_argument("the vocabulary holds " + name + " twice");
    top = std::max(top, id);
  }
  character_of_.assign(static_cast<std::size_t>(top) + 1, kNoCharacter);
  for (const auto& [character, id] : vocabulary) {
    auto& page = page_of_[character >> 8];
    if (page == 0) {
      page = static_cast<std::uint16_t>(pages_.size());
      pages_.emplace_back();
    }
    pages_[page][character & 0xFF] = static_cast<std::uint16_t>(id);
    auto& first = character_of_[static_cast<std::size_t>(id)];
    if (first == kNoCharacter) first = character;
  }
}

Encoding Tokenizer::encode(std::string_view utf8) const {
  Encoding out;
  out.ids.reserve(utf8.size());
  out.indices.reserve(utf8.size());
  std::size_t index = 0;
  text::decode_utf8(utf8, [&](char32_t c, std::size_t) {
    if (const std::int64_t token = id(c); token != 0) {
      out.ids.push_back(token);
      out.indices.push_back(static_cast<std::int64_t>(index));
    } else {
      out.dropped.push_back({c, index});
    }
    ++index;
  });
  return out;
}

std::size_t Tokenizer::count(std::string_view utf8) const {
  std::size_t n = 0;
  text::decode_utf8(utf8, [&](char32_t c, std::size_t) { n += id(c) != 0; });
  return n;
}

std::string Tokenizer::decode(std::span<const std::int64_t> ids) const {
  std::string out;
  out.reserve(ids.size());
  for (const std::int64_t id : ids) {
    if (id == 0) continue;
    const bool known = id > 0 && static_cast<std::size_t>(id) < character_of_.size() &&
                       character_of_[static_cast<std::size_t>(id)] != kNoCharacter;
    if (!known) throw std::invalid_argument("no character has the id " + std::to_string(id));
    text::append_utf8(out, character_of_[static_cast<std::size_t>(id)]);
  }
  return out;
}

}  // namespace koe
