// SPDX-License-Identifier: Apache-2.0
#include "koe/bundle.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>

#if defined(__linux__)
#include <malloc.h>
#endif

#include "koe/error.hpp"
#include "model/gguf.hpp"
#include "model/mapped_file.hpp"
#include "model/utf8.hpp"

namespace koe {
namespace {

constexpr std::array<char, 8> kTrailerMagic = {'k', 'o', 'e', '-', 'x', 'x', 'h', '\0'};
constexpr std::size_t kTrailerBytes = 16;

bool starts_with(std::span<const std::byte> bytes, std::string_view text) noexcept {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

/// Everything before the trailer, once that is found to be whole.
std::span<const std::byte> checked_body(std::span<const std::byte> bytes) {
  if (!starts_with(bytes, "GGUF"))
    throw Error("not a koe bundle: the file does not start with 'GGUF'; `koe prepare` makes a bundle from an ONNX model");
  if (bytes.size() < kTrailerBytes + 4) throw Error("the bundle is cut short; prepare the model again");
  const auto trailer = bytes.last(kTrailerBytes);
  if (std::memcmp(trailer.data(), kTrailerMagic.data(), kTrailerMagic.size()) != 0)
    throw Error("the bundle is cut short, or a GGUF file that koe did not write: its end mark is missing; "
                "prepare the model again");
  std::uint64_t expected;
  std::memcpy(&expected, trailer.data() + kTrailerMagic.size(), sizeof expected);
  const auto body = bytes.first(bytes.size() - kTrailerBytes);
  if (xxh64(body) != expected)
    throw Error("the bundle is damaged: its checksum does not match its content; prepare the model again");
  return body;
}

template <typename T>
const T& typed(const Metadata& metadata, std::string_view key, const char* type) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) throw Error("the bundle has no metadata '" + std::string(key) + "'");
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) throw Error("the bundle's metadata '" + std::string(key) + "' is not " + type);
  return *value;
}

std::vector<std::pair<char32_t, std::int32_t>> read_vocabulary(const Metadata& metadata) {
  const auto& characters = typed<std::vector<std::string>>(metadata, "koe.vocabulary.characters", "an array of strings");
  const auto& ids = typed<std::vector<std::int64_t>>(metadata, "koe.vocabulary.ids", "an array of integers");
  if (characters.size() != ids.size()) throw Error("the bundle's vocabulary has unequal numbers of characters and ids");
  std::vector<std::pair<char32_t, std::int32_t>> vocabulary;
  std::unordered_set<char32_t> seen;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::string_view text = characters[i];
    const auto character = model::take_code_point(text);
    if (!character || !text.empty()) throw Error("the bundle's vocabulary has an entry that is not one character");
    if (!seen.insert(*character).second) throw Error("the bundle's vocabulary has a character twice");
    if (ids[i] < 0 || ids[i] > 0x7FFFFFFF) throw Error("the bundle's vocabulary has an impossible id");
    vocabulary.emplace_back(*character, static_cast<std::int32_t>(ids[i]));
  }
  return vocabulary;
}

float from_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1F;
  const std::uint32_t mantissa = half & 0x3FF;
  if (exponent == 0) {  // zero or subnormal: mantissa · 2^-24 is exact in float32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

template <typename T>
std::vector<T> elements(const Tensor& tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

/// One value for the whole tensor, or one for each index of its first axis.
void check_quantization(const Tensor& weight, const Tensor& parameter, DataType type) {
  const auto n_rows = static_cast<std::size_t>(weight.shape[0]);
  if (parameter.type != type || (parameter.n_elements() != 1 && parameter.n_elements() != n_rows))
    throw Error("the bundle's tensor '" + parameter.name + "' does not fit '" + weight.name + "'");
}

}  // namespace

std::size_t size_of(DataType type) noexcept {
  switch (type) {
    case DataType::kFloat32:
    case DataType::kInt32: return 4;
    case DataType::kFloat16: return 2;
    case DataType::kInt8: return 1;
  }
  return 1;
}

struct Bundle::Contents {
  Contents(std::filesystem::path from, MappedFile mapped) : path(std::move(from)), file(std::move(mapped)) {
    auto parsed = model::parse_gguf(checked_body(file.bytes()));
    metadata = std::move(parsed.metadata);
    tensors = std::move(parsed.tensors);
    if (typed<std::string>(metadata, "general.architecture", "a string") != "kokoro")
      throw Error("not a koe bundle: its architecture is not 'kokoro'");
    const auto format = typed<std::int64_t>(metadata, "koe.format", "an integer");
    if (format > kFormat)
      throw Error("the bundle has format " + std::to_string(format) + ", and this koe reads up to " +
                  std::to_string(kFormat) + "; update koe, or prepare the model again with this version");
    if (format < 1) throw Error("the bundle has the impossible format " + std::to_string(format));
    vocabulary = read_vocabulary(metadata);
    for (const Tensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  }

  std::filesystem::path path;
  MappedFile file;
  Metadata metadata;
  std::vector<Tensor> tensors;
  std::unordered_map<std::string_view, const Tensor*> by_name;
  std::vector<std::pair<char32_t, std::int32_t>> vocabulary;
};

Bundle::Bundle(const std::filesystem::path& path) {
  MappedFile file = MappedFile::open(path);  // its own errors name the path already
  try {
    contents_ = std::make_unique<const Contents>(path, std::move(file));
  } catch (const Error& error) {
    throw Error(display(path) + ": " + error.what());
  }
}

Bundle::~Bundle() = default;
Bundle::Bundle(Bundle&&) noexcept = default;
Bundle& Bundle::operator=(Bundle&&) noexcept = default;

const std::filesystem::path& Bundle::path() const noexcept { return contents_->path; }
const Metadata& Bundle::metadata() const noexcept { return contents_->metadata; }
bool Bundle::has(std::string_view key) const noexcept { return contents_->metadata.find(key) != contents_->metadata.end(); }

const std::string& Bundle::string(std::string_view key) const { return typed<std::string>(metadata(), key, "a string"); }
std::int64_t Bundle::integer(std::string_view key) const { return typed<std::int64_t>(metadata(), key, "an integer"); }
double Bundle::number(std::string_view key) const { return typed<double>(metadata(), key, "a number"); }
bool Bundle::boolean(std::string_view key) const { return typed<bool>(metadata(), key, "a boolean"); }
const std::vector<std::string>& Bundle::strings(std::string_view key) const {
  return typed<std::vector<std::string>>(metadata(), key, "an array of strings");
}
const std::vector<std::int64_t>& Bundle::integers(std::string_view key) const {
  return typed<std::vector<std::int64_t>>(metadata(), key, "an array of integers");
}

const std::vector<std::pair<char32_t, std::int32_t>>& Bundle::vocabulary() const noexcept { return contents_->vocabulary; }
std::span<const Tensor> Bundle::tensors() const noexcept { return contents_->tensors; }

const Tensor* Bundle::find(std::string_view name) const noexcept {
  const auto found = contents_->by_name.find(name);
  return found == contents_->by_name.end() ? nullptr : found->second;
}

const Tensor& Bundle::tensor(std::string_view name) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) throw Error(display(path()) + ": the bundle has no tensor '" + std::string(name) + "'");
  return *tensor;
}

std::vector<float> Bundle::dequantized(std::string_view name) const {
  std::vector<float> values(tensor(name).n_elements());
  dequantize_rows(name, 0, values);
  return values;
}

void Bundle::dequantize_rows(std::string_view name, std::size_t first, std::span<float> out) const {
  const Tensor& source = tensor(name);
  const std::size_t n_rows = source.shape.empty() ? 1 : static_cast<std::size_t>(source.shape[0]);
  const std::size_t row_size = n_rows == 0 ? 0 : source.n_elements() / n_rows;
  if (row_size == 0 ? !out.empty() : out.size() % row_size != 0 || first + out.size() / row_size > n_rows) {
    throw std::invalid_argument("tensor '" + source.name + "' has no " + std::to_string(out.size()) + " values from row " +
                                std::to_string(first) + " on");
  }
  const std::size_t begin = first * row_size;
  const auto copy = [&]<class T>(T, auto convert) {
    const std::byte* from = source.data.data() + begin * sizeof(T);
    for (std::size_t i = 0; i < out.size(); ++i) {
      T value;
      std::memcpy(&value, from + i * sizeof(T), sizeof(T));
      out[i] = convert(value);
    }
  };
  switch (source.type) {
    case DataType::kFloat32: return copy(float{}, [](float x) { return x; });
    case DataType::kFloat16: return copy(std::uint16_t{}, from_half);
    case DataType::kInt32: return copy(std::int32_t{}, [](std::int32_t x) { return static_cast<float>(x); });
    case DataType::kInt8: break;
  }
  const Quantization quantized = quantization(name);
  const auto* q = reinterpret_cast<const std::int8_t*>(source.data.data());
  for (std::size_t i = 0; i < out.size();) {
    const std::size_t row = (begin + i) / row_size;
    const int zero = quantized.zero_point[row];
    const float step = quantized.scale[row];
    for (const std::size_t end = i + row_size; i < end; ++i) out[i] = static_cast<float>(q[begin + i] - zero) * step;
  }
}

Bundle::Quantization Bundle::quantization(std::string_view name) const {
  const Tensor& source = tensor(name);
  if (source.type != DataType::kInt8) throw Error("the bundle's tensor '" + source.name + "' is not int8");
  const std::size_t n_rows = source.shape.empty() ? 1 : static_cast<std::size_t>(source.shape[0]);
  const auto for_each_row = [&]<class T>(std::vector<T> values) {
    if (values.size() == 1) values.assign(n_rows, values[0]);
    return values;
  };
  const Tensor& scale = tensor(source.name + ".scale");
  check_quantization(source, scale, DataType::kFloat32);
  Quantization quantized{for_each_row(elements<float>(scale)), std::vector<std::int8_t>(n_rows, 0)};
  if (const Tensor* zero_point = find(source.name + ".zero_point")) {
    check_quantization(source, *zero_point, DataType::kInt8);
    quantized.zero_point = for_each_row(elements<std::int8_t>(*zero_point));
  }
  return quantized;
}

std::span<const std::byte> Bundle::acoustic_model() const {
  const Tensor& blob = tensor("acoustic.onnx");
  if (blob.type != DataType::kInt8)
    throw Error(display(path()) + ": the bundle's tensor 'acoustic.onnx' does not hold bytes");
  return blob.data;
}

void Bundle::release_pages() const noexcept {
  contents_->file.release_pages();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace koe
