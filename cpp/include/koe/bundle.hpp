// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// The element types a bundle may hold.
enum class DataType : std::uint8_t { kFloat32, kFloat16, kInt8, kInt32 };

/// Bytes an element.
KOE_API std::size_t size_of(DataType type) noexcept;

/// One tensor of a bundle: a view into the mapped file, valid as long as the `Bundle` lives.
struct Tensor {
  std::string name;
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> shape;  ///< Row-major, in PyTorch's order: a convolution's weight is [out, in, kernel].
  std::span<const std::byte> data;  ///< Contiguous, little-endian; aligned to the bundle's alignment (at least 8 bytes).

  std::size_t n_elements() const noexcept { return data.size() / size_of(type); }
};

/// A metadata value; every integer type of the file arrives as std::int64_t.
using MetadataValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                                   std::vector<std::string>>;
using Metadata = std::map<std::string, MetadataValue, std::less<>>;

/// XXH64 of `data` (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md): the checksum in a bundle's trailer.
KOE_API std::uint64_t xxh64(std::span<const std::byte> data, std::uint64_t seed = 0) noexcept;

/// A prepared model in one memory-mapped file: the acoustic sub-graph, the vocoder's weights, vocabulary and metadata.
///
/// The container is GGUF version 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little-endian, followed by
/// 16 bytes: "koe-xxh" and a zero byte, then the XXH64 (seed 0, little-endian) of everything before them. Opening reads the
/// whole file once to check it, so a byte that changed anywhere, or a missing end, is found there.
///
/// Immutable once open; every const member may be called from any number of threads. Move-only. Views stay valid when the
/// bundle is moved.
class KOE_API Bundle {
 public:
  /// The newest `koe.format` this library reads.
  static constexpr std::int64_t kFormat = 1;

  /// Opens and checks the file. Throws koe::Error if it cannot be read, is not a bundle, is cut short or damaged, or has a
  /// newer format; the message starts with the path.
  explicit Bundle(const std::filesystem::path& path);
  ~Bundle();
  Bundle(Bundle&&) noexcept;
  Bundle& operator=(Bundle&&) noexcept;

  const std::filesystem::path& path() const noexcept;
  const Metadata& metadata() const noexcept;
  /// Whether the file has this key, whatever its type.
  bool has(std::string_view key) const noexcept;
  /// Typed values; each throws koe::Error if the key is missing or of another type.
  const std::string& string(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const std::vector<std::string>& strings(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;

  /// Character (one Unicode code point) and token id, in the file's order; characters are distinct, ids are not negative.
  const std::vector<std::pair<char32_t, std::int32_t>>& vocabulary() const noexcept;

  /// Every tensor, in the file's order.
  std::span<const Tensor> tensors() const noexcept;
  /// The tensor of this name, or null.
  const Tensor* find(std::string_view name) const noexcept;
  /// The tensor of this name; throws koe::Error if there is none.
  const Tensor& tensor(std::string_view name) const;
  /// The tensor as float32, row-major. An int8 tensor `w` is (w - w.zero_point) * w.scale, where `w.scale` (float32) and the
  /// optional `w.zero_point` (int8) have one element, or one for each index of the first axis. Throws koe::Error if the
  /// tensor or its scale is missing or their sizes don't fit.
  std::vector<float> dequantized(std::string_view name) const;
  /// The same for whole rows of the first axis, from row `first` on, as many as `out` holds. Throws std::invalid_argument if
  /// there are not so many.
  void dequantize_rows(std::string_view name, std::size_t first, std::span<float> out) const;

  /// How an int8 tensor's rows of the first axis stand for numbers: (w - zero_point) * scale, one pair a row. Throws
  /// koe::Error as `dequantized` does, and if the tensor is not int8.
  struct Quantization {
    std::vector<float> scale;
    std::vector<std::int8_t> zero_point;
  };
  Quantization quantization(std::string_view name) const;

  /// The serialised ONNX graph of the acoustic model (tensor `acoustic.onnx`). Throws koe::Error if there is none.
  std::span<const std::byte> acoustic_model() const;

  /// Takes the mapped file out of this process's resident memory, once those who read it have copies of their own, and gives
  /// back what making them left unused in the C library's heap (glibc). All views stay valid: the system reads a page again
  /// when it is touched.
  void release_pages() const noexcept;

 private:
  struct Contents;
  std::unique_ptr<const Contents> contents_;
};

}  // namespace koe
