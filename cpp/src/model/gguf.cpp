// SPDX-License-Identifier: Apache-2.0
#include "model/gguf.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_set>

#include "koe/error.hpp"
#include "model/utf8.hpp"

static_assert(std::endian::native == std::endian::little, "bundles are mapped as they are: little-endian machines only");

namespace koe::model {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 65536;
constexpr std::uint32_t kMaxDimensions = 4;

enum class ValueType : std::uint32_t {
  kUint8, kInt8, kUint16, kInt16, kUint32, kInt32, kFloat32, kBool, kString, kArray, kUint64, kInt64, kFloat64
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t position() const noexcept { return position_; }
  std::size_t left() const noexcept { return bytes_.size() - position_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(what + " (at byte " + std::to_string(position_) + ")");
  }

  template <typename T>
  T read() {
    if (left() < sizeof(T)) fail("the header ends in the middle of a value");
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }

  std::string read_string() {
    const auto length = read<std::uint64_t>();
    if (length > left()) fail("a string of " + std::to_string(length) + " bytes runs past the end");
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + position_), static_cast<std::size_t>(length));
    if (!is_utf8(text)) fail("a string is not UTF-8");
    position_ += text.size();
    return std::string(text);
  }

  /// A count of things of at least `min_bytes` each: bounded by the bytes left, so that no reservation exceeds the file.
  std::size_t read_count(std::size_t min_bytes, const char* what) {
    const auto count = read<std::uint64_t>();
    if (count > left() / min_bytes) fail(std::to_string(count) + " " + what + " do not fit into the file");
    return static_cast<std::size_t>(count);
  }

  void align_to(std::uint64_t alignment) {
    const std::size_t padding = static_cast<std::size_t>((alignment - position_ % alignment) % alignment);
    if (padding > left()) fail("the header runs to the end of the file");
    position_ += padding;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

std::int64_t checked(const Reader& reader, std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) reader.fail("an integer is too large");
  return static_cast<std::int64_t>(value);
}

std::size_t size_of_scalar(const Reader& reader, ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kInt8:
    case ValueType::kBool: return 1;
    case ValueType::kUint16:
    case ValueType::kInt16: return 2;
    case ValueType::kUint32:
    case ValueType::kInt32:
    case ValueType::kFloat32: return 4;
    case ValueType::kUint64:
    case ValueType::kInt64:
    case ValueType::kFloat64: return 8;
    case ValueType::kString:
    case ValueType::kArray: break;
  }
  reader.fail("metadata of type " + std::to_string(static_cast<std::uint32_t>(type)) + ", which GGUF does not have");
}

std::int64_t read_integer(Reader& reader, ValueType type) {
  switch (type) {
    case ValueType::kUint8: return reader.read<std::uint8_t>();
    case ValueType::kInt8: return reader.read<std::int8_t>();
    case ValueType::kUint16: return reader.read<std::uint16_t>();
    case ValueType::kInt16: return reader.read<std::int16_t>();
    case ValueType::kUint32: return reader.read<std::uint32_t>();
    case ValueType::kInt32: return reader.read<std::int32_t>();
    case ValueType::kUint64: return checked(reader, reader.read<std::uint64_t>());
    case ValueType::kInt64: return reader.read<std::int64_t>();
    case ValueType::kBool: {
      const auto value = reader.read<std::uint8_t>();
      if (value > 1) reader.fail("a boolean is neither 0 nor 1");
      return value;
    }
    default: reader.fail("not an integer");
  }
}

double read_number(Reader& reader, ValueType type) {
  return type == ValueType::kFloat32 ? static_cast<double>(reader.read<float>()) : reader.read<double>();
}

MetadataValue read_array(Reader& reader) {
  const auto type = static_cast<ValueType>(reader.read<std::uint32_t>());
  if (type == ValueType::kArray) reader.fail("an array of arrays");
  if (type == ValueType::kString) {
    std::vector<std::string> values(reader.read_count(sizeof(std::uint64_t), "strings"));
    for (std::string& value : values) value = reader.read_string();
    return values;
  }
  const std::size_t count = reader.read_count(size_of_scalar(reader, type), "array elements");
  if (type == ValueType::kFloat32 || type == ValueType::kFloat64) {
    std::vector<double> values(count);
    for (double& value : values) value = read_number(reader, type);
    return values;
  }
  std::vector<std::int64_t> values(count);
  for (std::int64_t& value : values) value = read_integer(reader, type);
  return values;
}

MetadataValue read_value(Reader& reader) {
  const auto type = static_cast<ValueType>(reader.read<std::uint32_t>());
  switch (type) {
    case ValueType::kString: return reader.read_string();
    case ValueType::kArray: return read_array(reader);
    case ValueType::kBool: return read_integer(reader, type) != 0;
    case ValueType::kFloat32:
    case ValueType::kFloat64: return read_number(reader, type);
    default: size_of_scalar(reader, type); return read_integer(reader, type);
  }
}

DataType data_type(const Reader& reader, std::uint32_t type, const std::string& name) {
  // ggml's numbers.
  switch (type) {
    case 0: return DataType::kFloat32;
    case 1: return DataType::kFloat16;
    case 24: return DataType::kInt8;
    case 26: return DataType::kInt32;
    default: reader.fail("tensor '" + name + "' has ggml type " + std::to_string(type) + ", which koe does not read");
  }
}

struct TensorInfo {
  Tensor tensor;
  std::uint64_t offset = 0;
  std::uint64_t n_bytes = 0;
};

TensorInfo read_tensor_info(Reader& reader, std::uint64_t alignment) {
  TensorInfo info;
  Tensor& tensor = info.tensor;
  tensor.name = reader.read_string();
  const auto n_dimensions = reader.read<std::uint32_t>();
  if (n_dimensions == 0 || n_dimensions > kMaxDimensions)
    reader.fail("tensor '" + tensor.name + "' has " + std::to_string(n_dimensions) + " dimensions");
  std::uint64_t n_elements = 1;
  for (std::uint32_t i = 0; i < n_dimensions; ++i) {
    const auto size = reader.read<std::uint64_t>();
    if (size == 0 || size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 8 / n_elements)
      reader.fail("tensor '" + tensor.name + "' has an impossible dimension of " + std::to_string(size));
    n_elements *= size;
    tensor.shape.push_back(static_cast<std::int64_t>(size));
  }
  std::reverse(tensor.shape.begin(), tensor.shape.end());  // GGUF puts the fastest dimension first
  tensor.type = data_type(reader, reader.read<std::uint32_t>(), tensor.name);
  info.n_bytes = n_elements * size_of(tensor.type);
  info.offset = reader.read<std::uint64_t>();
  if (info.offset % alignment != 0)
    reader.fail("tensor '" + tensor.name + "' starts at " + std::to_string(info.offset) + ", which is not aligned");
  return info;
}

void place_tensors(const Reader& reader, std::span<const std::byte> data, std::vector<TensorInfo>& infos) {
  for (TensorInfo& info : infos) {
    if (info.offset > data.size() || info.n_bytes > data.size() - info.offset)
      reader.fail("tensor '" + info.tensor.name + "' runs past the end of the file");
    info.tensor.data = data.subspan(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.n_bytes));
  }
  std::vector<const TensorInfo*> by_offset;
  for (const TensorInfo& info : infos) by_offset.push_back(&info);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < by_offset.size(); ++i) {
    if (by_offset[i]->offset - by_offset[i - 1]->offset < by_offset[i - 1]->n_bytes)
      reader.fail("tensors '" + by_offset[i - 1]->tensor.name + "' and '" + by_offset[i]->tensor.name + "' overlap");
  }
}

std::uint64_t alignment_of(const Reader& reader, const Metadata& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kDefaultAlignment;
  const auto* value = std::get_if<std::int64_t>(&found->second);
  if (value == nullptr || *value < 8 || *value > static_cast<std::int64_t>(kMaxAlignment) ||
      !std::has_single_bit(static_cast<std::uint64_t>(*value)))
    reader.fail("general.alignment is no power of two from 8 to 65536");
  return static_cast<std::uint64_t>(*value);
}

}  // namespace

GgufContents parse_gguf(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  if (reader.read<std::array<char, 4>>() != std::array{'G', 'G', 'U', 'F'}) reader.fail("not a GGUF file");
  if (const auto version = reader.read<std::uint32_t>(); version != kVersion)
    reader.fail("GGUF version " + std::to_string(version) + ", where koe reads version 3");
  constexpr std::size_t kMinTensorInfo = 8 + 4 + 8 + 4 + 8;
  constexpr std::size_t kMinKeyValue = 8 + 4 + 1;
  const std::size_t n_tensors = reader.read_count(kMinTensorInfo, "tensors");
  const std::size_t n_values = reader.read_count(kMinKeyValue, "metadata values");

  GgufContents contents;
  for (std::size_t i = 0; i < n_values; ++i) {
    std::string key = reader.read_string();
    MetadataValue value = read_value(reader);
    if (!contents.metadata.emplace(key, std::move(value)).second) reader.fail("metadata key '" + key + "' comes twice");
  }
  const std::uint64_t alignment = alignment_of(reader, contents.metadata);
  std::vector<TensorInfo> infos;
  infos.reserve(n_tensors);
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < n_tensors; ++i) {
    infos.push_back(read_tensor_info(reader, alignment));
    if (!names.insert(infos.back().tensor.name).second)
      reader.fail("tensor '" + infos.back().tensor.name + "' comes twice");
  }
  reader.align_to(alignment);
  place_tensors(reader, bytes.subspan(reader.position()), infos);
  contents.tensors.reserve(infos.size());
  for (TensorInfo& info : infos) contents.tensors.push_back(std::move(info.tensor));
  return contents;
}

}  // namespace koe::model
