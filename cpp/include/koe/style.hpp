// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// Values in one style: 128 for the vocoder, then 128 for prosody.
inline constexpr std::size_t kStyleSize = 256;

/// Undoes raw DEFLATE (RFC 1951, no zlib header): gets the packed bytes and the size they must unpack to.
using Inflate = std::function<std::vector<std::byte>(std::span<const std::byte> packed, std::size_t size)>;

/// A voice: one style for each length of text, [n_rows, 256] float32, every value finite. Immutable; copies share the
/// values, and any number of threads may read them.
class KOE_API StylePack {
 public:
  // Only copies, which cost a reference count: a moved-from pack would be left with a view on nothing.
  StylePack(const StylePack&) = default;
  StylePack& operator=(const StylePack&) = default;

  /// Opens a voice file, told by its content and not by its name:
  ///  - raw little-endian float32 without a header: exactly [510, 256] or v0.19's [511, 1, 256];
  ///  - `.npy`, header versions 1 to 3: '<f4' in C order, [rows, 256] or [rows, 1, 256], rows ≥ 1;
  ///  - `.npz` (kokoro-onnx's voices-v1.0.bin is one): `member` names the pack, with or without ".npy"; it may be left
  ///    empty where the file holds only one. Each member's CRC-32 is checked.
  /// The values stay in the mapped file where they lie aligned for float; otherwise, and for a deflated member, they are
  /// copied. koe links no zlib: a deflated member needs `inflate`, which the Python binding provides.
  /// Throws koe::Error for a file that can't be read or is none of these, has another type or shape, is cut short, or
  /// holds NaN or infinity; for a member that does not exist; and for pickles and object arrays, which are never
  /// evaluated. Throws std::invalid_argument where `member` is needed and empty, or given for a file without members.
  static StylePack open(const std::filesystem::path& path, std::string_view member = {}, const Inflate& inflate = {});

  /// Takes n_rows × 256 values. Throws std::invalid_argument unless that is their shape, koe::Error for NaN or infinity.
  static StylePack from_values(std::vector<float> values);

  /// The packs in an `.npz`, in the file's order and without ".npy"; empty for a raw or `.npy` file, whose one pack has no
  /// name. Throws as open() does for a file that is not a voice file's container.
  static std::vector<std::string> names(const std::filesystem::path& path);

  [[nodiscard]] std::size_t n_rows() const noexcept { return values_.size() / kStyleSize; }

  /// All values, row after row. Valid while this pack or a copy of it lives.
  [[nodiscard]] std::span<const float> values() const noexcept { return values_; }

  /// Row `i`, 256 values; valid as values() is. Throws std::invalid_argument where i ≥ n_rows().
  [[nodiscard]] std::span<const float> row(std::size_t i) const;

 private:
  StylePack(std::shared_ptr<const void> owner, std::span<const float> values) noexcept
      : owner_(std::move(owner)), values_(values) {}

  std::shared_ptr<const void> owner_;
  std::span<const float> values_;
};

/// Which row speaks a text of a given length; the bundle says which rule its model was trained with.
enum class StyleRowRule {
  kPhonemesMinusOne,  ///< v1.0: row len(phonemes) − 1, counting every character, those outside the vocabulary too
  kTokens,            ///< v0.19: row len(tokens), without the pads
};

/// "phonemes_minus_one" or "tokens"; throws std::invalid_argument for anything else.
KOE_API StyleRowRule style_row_rule(std::string_view name);

/// The row of a pack of `n_rows` rows for a chunk. Clamped: no phonemes get row 0, and a chunk longer than the pack was made
/// for gets the last row. Throws std::invalid_argument where n_rows is 0.
KOE_API std::size_t style_row_index(std::size_t n_phonemes, std::size_t n_tokens, StyleRowRule rule, std::size_t n_rows);

/// The weighted mean of packs with equally many rows, summed in double; the weights are scaled to sum to 1. Throws
/// std::invalid_argument for no packs, counts that differ, a weight that is negative or not finite, or a sum of zero.
KOE_API StylePack mix(std::span<const StylePack> packs, std::span<const double> weights);

/// (1 − t)·a + t·b for two styles of one length, 0 ≤ t ≤ 1; the ends are exact. Throws std::invalid_argument for lengths
/// that differ or t outside.
KOE_API std::vector<float> lerp(std::span<const float> a, std::span<const float> b, double t);

/// Spherical interpolation (Shoemake 1985) of the directions, at a constant angular speed, while the length goes from |a| to
/// |b| linearly: halfway between two voices is then no weaker than either, which lerp's is. Where the plane of rotation
/// isn't defined (a and b parallel or opposite to within 1e-6 rad, or one of them zero) it is lerp. Throws as lerp does.
KOE_API std::vector<float> slerp(std::span<const float> a, std::span<const float> b, double t);

/// The same, row by row. Throw std::invalid_argument also where the packs' numbers of rows differ.
KOE_API StylePack lerp(const StylePack& a, const StylePack& b, double t);
KOE_API StylePack slerp(const StylePack& a, const StylePack& b, double t);

}  // namespace koe
