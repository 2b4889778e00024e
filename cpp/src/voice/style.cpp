// SPDX-License-Identifier: Apache-2.0
#include "koe/style.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "koe/error.hpp"
#include "koe/voice_spec.hpp"
#include "model/mapped_file.hpp"
#include "voice/bytes.hpp"
#include "voice/message.hpp"
#include "voice/npy.hpp"
#include "voice/zip.hpp"

namespace koe {
namespace {

static_assert(std::endian::native == std::endian::little, "voice files are read in place, and they are little-endian");

constexpr std::size_t kRowBytes = kStyleSize * sizeof(float);
constexpr std::size_t kRowsV1 = 510;
constexpr std::size_t kRowsV019 = 511;
// An upper bound for what a deflated member may claim to unpack to: 65 536 rows, far above any voice.
constexpr std::uint64_t kMaxUnpackedBytes = 64u << 20;

void check_finite(std::span<const float> values, const std::string& where) {
  const auto bad = std::find_if_not(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  if (bad == values.end()) return;
  const auto index = static_cast<std::size_t>(bad - values.begin());
  const char* what = std::isnan(*bad) ? "NaN" : *bad > 0 ? "+infinity" : "-infinity";
  throw Error(where + ": " + what + " in row " + std::to_string(index / kStyleSize) + ", column " +
              std::to_string(index % kStyleSize) + "; a voice's values are all finite");
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

/// The array's bytes, if its shape is a style pack's.
std::span<const std::byte> pack_bytes(const NpyArray& array, const std::string& where) {
  const auto& shape = array.shape;
  const bool flat = shape.size() == 2 && shape[1] == kStyleSize;
  const bool v019 = shape.size() == 3 && shape[1] == 1 && shape[2] == kStyleSize;
  if ((!flat && !v019) || shape[0] == 0) {
    throw Error(where + ": an array of shape " + shape_text(shape) + "; a voice is [rows, 256] or [rows, 1, 256]");
  }
  return array.data;
}

std::span<const std::byte> raw_bytes(std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.size() == kRowsV1 * kRowBytes || bytes.size() == kRowsV019 * kRowBytes) return bytes;
  // Protocols 2 to 5 start so; asked only now, since a voice's first value may do too.
  const bool pickle = bytes.size() >= 2 && bytes[0] == std::byte{0x80} && bytes[1] >= std::byte{2} && bytes[1] <= std::byte{5};
  if (pickle) throw Error(where + ": a Python pickle, which koe never evaluates; save the voice as float32 .npy");
  throw Error(where + ": " + std::to_string(bytes.size()) + " bytes; a raw voice has " + std::to_string(kRowsV1 * kRowBytes) +
              " ([510, 256] float32) or " + std::to_string(kRowsV019 * kRowBytes) + " ([511, 1, 256])");
}

std::string_view without_suffix(std::string_view name) {
  if (name.ends_with(".npy")) name.remove_suffix(4);
  return name;
}

/// Names in a message come from the file, so only printable ASCII is shown as it is.
std::string printable(std::string_view name) {
  std::string text(name.substr(0, 60));
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::vector<ZipMember> read_packs(std::span<const std::byte> bytes, const std::string& where) {
  std::vector<ZipMember> members = read_zip(bytes, where);
  const bool pickle = std::any_of(members.begin(), members.end(), [](const auto& m) { return m.name.ends_with(".pkl"); });
  std::erase_if(members, [](const auto& m) { return !m.name.ends_with(".npy"); });
  if (members.empty()) {
    throw Error(where + (pickle ? ": a PyTorch checkpoint, which is a pickle; koe never evaluates one, save the voice as .npy"
                                : ": a ZIP archive without a .npy member"));
  }
  return members;
}

const ZipMember& choose(const std::vector<ZipMember>& members, std::string_view member, const std::string& where) {
  if (member.empty()) {
    if (members.size() == 1) return members.front();
    throw std::invalid_argument(where + ": holds " + std::to_string(members.size()) + " voices, such as '" +
                                printable(without_suffix(members.front().name)) + "': say which");
  }
  const auto wanted = without_suffix(member);
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const auto& m) { return without_suffix(m.name) == wanted; });
  if (found != members.end()) return *found;
  std::vector<std::string> candidates;
  for (const auto& m : members) candidates.emplace_back(without_suffix(m.name));
  std::string message = where + ": no voice '" + without_controls(wanted) + "' among its " + std::to_string(members.size());
  const auto near = nearest_names(wanted, candidates, 3);
  for (std::size_t i = 0; i < near.size(); ++i) message += (i == 0 ? "; the nearest: " : ", ") + printable(near[i]);
  throw Error(message);
}

std::vector<std::byte> unpack(const ZipMember& member, const Inflate& inflate, const std::string& where) {
  if (!inflate) throw Error(where + ": deflated, which is read through Python only; save it with numpy.savez");
  if (member.size > kMaxUnpackedBytes) {
    throw Error(where + ": claims " + std::to_string(member.size) + " bytes; a voice has at most " +
                std::to_string(kMaxUnpackedBytes));
  }
  auto bytes = inflate(member.packed, static_cast<std::size_t>(member.size));
  if (bytes.size() != member.size) throw Error(where + ": damaged, does not unpack to the size that its directory names");
  return bytes;
}

bool aligned(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(float) == 0;
}

std::vector<float> copied(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace

StylePack StylePack::open(const std::filesystem::path& path, std::string_view member, const Inflate& inflate) {
  auto file = std::make_shared<const MappedFile>(MappedFile::open(path));
  std::string where = "voice file '" + display(path) + "'";
  std::span<const std::byte> bytes = file->bytes();
  std::vector<std::byte> unpacked;

  if (is_zip(bytes)) {
    const auto members = read_packs(bytes, where);
    const ZipMember& chosen = choose(members, member, where);
    where += ", voice '" + printable(without_suffix(chosen.name)) + "'";
    bytes = chosen.packed;
    if (chosen.deflated) {
      unpacked = unpack(chosen, inflate, where);
      bytes = unpacked;
    }
    if (crc32(bytes) != chosen.crc32) throw Error(where + ": damaged, its CRC-32 is wrong");
    bytes = pack_bytes(read_npy(bytes, where), where);
  } else {
    bytes = is_npy(bytes) ? pack_bytes(read_npy(bytes, where), where) : raw_bytes(bytes, where);
    if (!member.empty()) {
      throw std::invalid_argument(where + ": holds one voice without a name, but '" + without_controls(member) +
                                  "' was asked for");
    }
  }

  if (!unpacked.empty() || !aligned(bytes)) {
    auto values = std::make_shared<const std::vector<float>>(copied(bytes));
    check_finite(*values, where);
    const std::span<const float> view = *values;
    return {std::move(values), view};
  }
  const std::span<const float> view(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
  check_finite(view, where);
  return {std::move(file), view};
}

StylePack StylePack::from_values(std::vector<float> values) {
  if (values.empty() || values.size() % kStyleSize != 0) {
    throw std::invalid_argument("style pack: " + std::to_string(values.size()) + " values are not rows of 256");
  }
  check_finite(values, "style pack");
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  const std::span<const float> view = *owner;
  return {std::move(owner), view};
}

std::vector<std::string> StylePack::names(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  const std::string where = "voice file '" + display(path) + "'";
  std::vector<std::string> names;
  if (is_zip(file.bytes())) {
    for (const auto& member : read_packs(file.bytes(), where)) names.emplace_back(without_suffix(member.name));
  } else if (!is_npy(file.bytes())) {
    raw_bytes(file.bytes(), where);
  }
  return names;
}

std::span<const float> StylePack::row(std::size_t i) const {
  if (i >= n_rows()) {
    throw std::invalid_argument("style pack: no row " + std::to_string(i) + " among " + std::to_string(n_rows()));
  }
  return values_.subspan(i * kStyleSize, kStyleSize);
}

StyleRowRule style_row_rule(std::string_view name) {
  if (name == "phonemes_minus_one") return StyleRowRule::kPhonemesMinusOne;
  if (name == "tokens") return StyleRowRule::kTokens;
  throw std::invalid_argument("style row rule '" + std::string(name) + "' is neither 'phonemes_minus_one' nor 'tokens'");
}

std::size_t style_row_index(std::size_t n_phonemes, std::size_t n_tokens, StyleRowRule rule, std::size_t n_rows) {
  if (n_rows == 0) throw std::invalid_argument("style row: the pack has no rows");
  const std::size_t row = rule == StyleRowRule::kTokens ? n_tokens : n_phonemes == 0 ? 0 : n_phonemes - 1;
  return std::min(row, n_rows - 1);
}

}  // namespace koe
