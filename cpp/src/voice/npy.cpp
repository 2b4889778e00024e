// SPDX-License-Identifier: Apache-2.0
#include "voice/npy.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "koe/error.hpp"
#include "voice/bytes.hpp"

namespace koe {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy's own limit for a header that it reads without being told to trust it.
constexpr std::size_t kMaxHeaderSize = 10'000;
constexpr std::size_t kMaxDimensions = 8;

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::size_t>> shape;
};

/// The header is a Python dictionary with three known keys; this reads just that subset of Python's grammar.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Header parse() {
    Header header;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        if (peek() != '\'' && peek() != '"') {
          throw Error(where_ + ": a structured array; a voice is plain float32 ('<f4')");
        }
        header.descr = string();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
      } else if (key == "shape") {
        header.shape = tuple();
      } else {
        fail("an unknown key");
      }
      if (!take(',') && peek() != '}') fail("no ',' after a value");
    }
    if (peek() != '\0') fail("text after the dictionary");
    return header;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error(where_ + ": damaged .npy header, " + what + " at byte " + std::to_string(position_));
  }

  char peek() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) ++position_;
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  bool take(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }

  void expect(char c) {
    if (!take(c)) fail("something unexpected");
  }

  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("no quoted text");
    const std::size_t end = text_.find(quote, ++position_);
    if (end == std::string_view::npos) fail("a text without an end");
    std::string value(text_.substr(position_, end - position_));
    position_ = end + 1;
    return value;
  }

  bool boolean() {
    peek();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {std::string_view("False"), false}}) {
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return value;
      }
    }
    fail("neither True nor False");
  }

  std::vector<std::size_t> tuple() {
    std::vector<std::size_t> values;
    expect('(');
    while (!take(')')) {
      if (values.size() == kMaxDimensions) fail("too many dimensions");
      values.push_back(number());
      take('L');  // Python 2 wrote long integers so.
      if (!take(',') && peek() != ')') fail("no ',' in the shape");
    }
    return values;
  }

  std::size_t number() {
    const auto digit = [this] { return position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9'; };
    peek();
    if (!digit()) fail("no number");
    std::size_t value = 0;
    for (; digit(); ++position_) {
      if (value > std::numeric_limits<std::size_t>::max() / 10 - 1) fail("a number too large");
      value = value * 10 + static_cast<std::size_t>(text_[position_] - '0');
    }
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t position_ = 0;
};

/// For a message: what the file says, in printable ASCII and not too long.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 40));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

bool is_npy(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= kMagic.size() && as_text(bytes.first(kMagic.size())) == kMagic;
}

NpyArray read_npy(std::span<const std::byte> bytes, const std::string& where) {
  if (!is_npy(bytes)) throw Error(where + ": not a .npy array");
  if (bytes.size() < 10) throw Error(where + ": cut short inside the .npy header");
  const int version = std::to_integer<int>(bytes[6]);
  if (version < 1 || version > 3) {
    throw Error(where + ": .npy version " + std::to_string(version) + ", known are 1 to 3");
  }
  const std::size_t start = version == 1 ? 10 : 12;
  if (bytes.size() < start) throw Error(where + ": cut short inside the .npy header");
  const std::size_t size = version == 1 ? read_le<std::uint16_t>(bytes, 8) : read_le<std::uint32_t>(bytes, 8);
  if (size > kMaxHeaderSize) {
    throw Error(where + ": a .npy header of " + std::to_string(size) + " bytes; at most " +
                std::to_string(kMaxHeaderSize) + " are read");
  }
  if (!fits(start, size, bytes.size())) throw Error(where + ": cut short inside the .npy header");

  const Header header = HeaderParser(as_text(bytes.subspan(start, size)), where).parse();
  if (!header.descr || !header.fortran_order || !header.shape) {
    throw Error(where + ": the .npy header lacks 'descr', 'fortran_order' or 'shape'");
  }
  if (header.descr->find('O') != std::string::npos) {
    throw Error(where + ": an array of Python objects, which is a pickle; koe never evaluates one");
  }
  if (*header.descr != "<f4") {
    throw Error(where + ": values of type '" + shown(*header.descr) + "'; a voice is float32 ('<f4')");
  }
  if (*header.fortran_order) throw Error(where + ": in Fortran order; a voice is in C order");

  NpyArray array{*header.shape, bytes.subspan(start + size)};
  std::size_t expected = sizeof(float);
  for (const std::size_t n : array.shape) {
    if (n != 0 && expected > std::numeric_limits<std::size_t>::max() / n) {
      throw Error(where + ": the .npy header's shape is too large");
    }
    expected *= n;
  }
  if (array.data.size() != expected) {
    throw Error(where + ": " + std::to_string(array.data.size()) + " bytes of values where the .npy header's shape needs " +
                std::to_string(expected));
  }
  return array;
}

}  // namespace koe
