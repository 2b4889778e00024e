// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace koe::text {

inline constexpr char32_t kReplacement = 0xFFFD;

/// The decoder of https://encoding.spec.whatwg.org/#utf-8-decoder, able to stop inside a character.
/// `emit(code_point, n_bytes)` is called for each code point with the number of input bytes it stands for.
class Utf8Decoder {
 public:
  template <typename Emit>
  void push(std::string_view bytes, Emit&& emit) {
    for (std::size_t i = 0; i < bytes.size();) {
      const auto byte = static_cast<std::uint8_t>(bytes[i]);
      if (needed_ == 0) {
        ++i;
        if (byte < 0x80) {
          emit(char32_t{byte}, std::size_t{1});
        } else if (!start(byte)) {
          emit(kReplacement, std::size_t{1});
        }
        continue;
      }
      if (byte < lower_ || byte > upper_) {
        // The bad byte is not consumed: it may begin the next character.
        const std::size_t n_bytes = seen_ + std::size_t{1};
        reset();
        emit(kReplacement, n_bytes);
        continue;
      }
      ++i;
      lower_ = 0x80;
      upper_ = 0xBF;
      code_point_ = (code_point_ << 6) | (byte & 0x3Fu);
      if (++seen_ == needed_) {
        const char32_t complete = code_point_;
        const std::size_t n_bytes = seen_ + std::size_t{1};
        reset();
        emit(complete, n_bytes);
      }
    }
  }

  /// The input is over: a character that was begun is bad.
  template <typename Emit>
  void finish(Emit&& emit) {
    if (needed_ != 0) {
      const std::size_t n_bytes = seen_ + std::size_t{1};
      reset();
      emit(kReplacement, n_bytes);
    }
  }

  void reset() noexcept { *this = {}; }

 private:
  bool start(std::uint8_t byte) noexcept {
    if (byte >= 0xC2 && byte <= 0xDF) {
      needed_ = 1;
      code_point_ = byte & 0x1Fu;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      // Overlong forms and surrogates are ruled out by the range of the second byte.
      lower_ = byte == 0xE0 ? 0xA0 : 0x80;
      upper_ = byte == 0xED ? 0x9F : 0xBF;
      needed_ = 2;
      code_point_ = byte & 0x0Fu;
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      lower_ = byte == 0xF0 ? 0x90 : 0x80;
      upper_ = byte == 0xF4 ? 0x8F : 0xBF;
      needed_ = 3;
      code_point_ = byte & 0x07u;
    } else {
      return false;
    }
    return true;
  }

  char32_t code_point_ = 0;
  std::uint8_t seen_ = 0;  // continuation bytes so far
  std::uint8_t needed_ = 0;
  std::uint8_t lower_ = 0x80;
  std::uint8_t upper_ = 0xBF;
};

template <typename Emit>
void decode_utf8(std::string_view bytes, Emit&& emit) {
  Utf8Decoder decoder;
  decoder.push(bytes, emit);
  decoder.finish(emit);
}

inline std::u32string to_utf32(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  decode_utf8(bytes, [&out](char32_t c, std::size_t) { out.push_back(c); });
  return out;
}

/// `c` is a Unicode scalar value.
inline void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0u | (c >> 6)));
    out.push_back(static_cast<char>(0x80u | (c & 0x3Fu)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0u | (c >> 12)));
    out.push_back(static_cast<char>(0x80u | ((c >> 6) & 0x3Fu)));
    out.push_back(static_cast<char>(0x80u | (c & 0x3Fu)));
  } else {
    out.push_back(static_cast<char>(0xF0u | (c >> 18)));
    out.push_back(static_cast<char>(0x80u | ((c >> 12) & 0x3Fu)));
    out.push_back(static_cast<char>(0x80u | ((c >> 6) & 0x3Fu)));
    out.push_back(static_cast<char>(0x80u | (c & 0x3Fu)));
  }
}

inline std::string to_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

}  // namespace koe::text
