// SPDX-License-Identifier: Apache-2.0
#include "koe/splitter.hpp"

#include <algorithm>
#include <stdexcept>

#include "text/boundaries.hpp"
#include "text/characters.hpp"
#include "text/utf8.hpp"

namespace koe {

struct StreamSplitter::Impl {
  explicit Impl(const SplitOptions& split_options) : options(split_options), scanner(split_options) {}

  SplitOptions options;
  text::Utf8Decoder decoder;
  text::BoundaryScanner scanner;
};

StreamSplitter::StreamSplitter(const SplitOptions& options) {
  if (options.max_chars == 0) throw std::invalid_argument("max_chars is 0, but a piece has at least one character");
  impl_ = std::make_unique<Impl>(options);
}

StreamSplitter::StreamSplitter(StreamSplitter&&) noexcept = default;
StreamSplitter& StreamSplitter::operator=(StreamSplitter&&) noexcept = default;
StreamSplitter::~StreamSplitter() = default;

std::vector<std::string> StreamSplitter::push(std::string_view utf8) {
  std::vector<std::string> pieces;
  impl_->decoder.push(utf8, [this](char32_t c, std::size_t) { impl_->scanner.append(c); });
  impl_->scanner.scan(false, [&](std::u32string_view piece) { pieces.push_back(text::to_utf8(piece)); });
  return pieces;
}

std::vector<std::string> StreamSplitter::flush() {
  std::vector<std::string> pieces;
  impl_->decoder.finish([this](char32_t c, std::size_t) { impl_->scanner.append(c); });
  impl_->scanner.scan(true, [&](std::u32string_view piece) { pieces.push_back(text::to_utf8(piece)); });
  reset();
  return pieces;
}

void StreamSplitter::reset() { impl_ = std::make_unique<Impl>(impl_->options); }

std::size_t StreamSplitter::pending() const noexcept { return impl_->scanner.pending().size(); }

namespace {

std::vector<TextSpan> split(std::string_view utf8, const SplitOptions& options) {
  text::BoundaryScanner scanner(options);
  std::vector<std::uint8_t> widths;
  widths.reserve(utf8.size());
  text::decode_utf8(utf8, [&](char32_t c, std::size_t n_bytes) {
    scanner.append(c);
    widths.push_back(static_cast<std::uint8_t>(n_bytes));
  });
  std::vector<TextSpan> spans;
  std::size_t begin = 0;
  std::size_t begin_byte = 0;
  scanner.scan(true, [&](std::u32string_view piece) {
    const std::size_t end = begin + piece.size();
    std::size_t end_byte = begin_byte;
    for (std::size_t i = begin; i < end; ++i) end_byte += widths[i];
    // Only at the end, or far from any word, is a piece all spaces.
    if (!spans.empty() && std::all_of(piece.begin(), piece.end(), text::is_space) && end == widths.size()) {
      spans.back().end = end;
      spans.back().end_byte = end_byte;
    } else {
      spans.push_back({begin, end, begin_byte, end_byte});
    }
    begin = end;
    begin_byte = end_byte;
  });
  return spans;
}

}  // namespace

std::vector<TextSpan> split_sentences(std::string_view utf8) { return split(utf8, {}); }

std::vector<TextSpan> split_clauses(std::string_view utf8, std::size_t min_chars) {
  if (min_chars == 0) throw std::invalid_argument("min_chars is 0, but a clause has at least one character");
  return split(utf8, {.first_clause_min_chars = min_chars, .clause_min_chars = min_chars});
}

}  // namespace koe
