// SPDX-License-Identifier: Apache-2.0
#include "voice/zip.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "koe/error.hpp"
#include "voice/bytes.hpp"

namespace koe {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEndOfDirectory = 0x06054b50;
constexpr std::uint32_t kZip64EndOfDirectory = 0x06064b50;
constexpr std::uint32_t kZip64Locator = 0x07064b50;
constexpr std::size_t kLocalHeaderSize = 30;
constexpr std::size_t kCentralHeaderSize = 46;
constexpr std::size_t kEndOfDirectorySize = 22;
constexpr std::size_t kZip64EndOfDirectorySize = 56;
constexpr std::size_t kZip64LocatorSize = 20;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint64_t kIn64Bits = 0xffffffff;

// Eight tables ("slicing by eight"): a voice's half megabyte is then checked in well under a millisecond.
constexpr auto kCrcTables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
    tables[0][i] = value;
  }
  for (std::size_t t = 1; t < 8; ++t) {
    for (std::size_t i = 0; i < 256; ++i) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
    }
  }
  return tables;
}();

struct Directory {
  std::uint64_t offset;
  std::uint64_t size;
  std::uint64_t n_members;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  [[nodiscard]] std::vector<ZipMember> read() const {
    const Directory directory = find_directory();
    const auto central = bytes_.subspan(directory.offset, directory.size);
    std::vector<ZipMember> members;
    std::unordered_set<std::string> seen;
    std::size_t position = 0;
    for (std::uint64_t i = 0; i < directory.n_members; ++i) {
      if (!fits(position, kCentralHeaderSize, central.size()) ||
          read_le<std::uint32_t>(central, position) != kCentralHeader) {
        fail("its directory ends early");
      }
      const std::uint64_t length = std::uint64_t{kCentralHeaderSize} + read_le<std::uint16_t>(central, position + 28) +
                                   read_le<std::uint16_t>(central, position + 30) +
                                   read_le<std::uint16_t>(central, position + 32);
      if (!fits(position, length, central.size())) fail("its directory ends early");
      ZipMember member = read_member(central.subspan(position, length));
      position += length;
      if (member.name.ends_with('/')) continue;
      if (!seen.insert(member.name).second) fail("two members of one name");
      members.push_back(std::move(member));
    }
    return members;
  }

 private:
  [[noreturn]] void fail(const char* what) const { throw Error(where_ + ": damaged ZIP archive, " + what); }

  [[nodiscard]] Directory find_directory() const {
    if (bytes_.size() < kEndOfDirectorySize) fail("it is cut short");
    // A comment of up to 65 535 bytes may follow the record; the right one is the last whose comment ends with the file.
    const std::size_t last = bytes_.size() - kEndOfDirectorySize;
    const std::size_t first = last > 0xffff ? last - 0xffff : 0;
    for (std::size_t at = last + 1; at-- > first;) {
      if (read_le<std::uint32_t>(bytes_, at) != kEndOfDirectory ||
          at + kEndOfDirectorySize + read_le<std::uint16_t>(bytes_, at + 20) != bytes_.size()) {
        continue;
      }
      if (read_le<std::uint16_t>(bytes_, at + 4) != read_le<std::uint16_t>(bytes_, at + 6)) fail("split over disks");
      Directory directory{read_le<std::uint32_t>(bytes_, at + 16), read_le<std::uint32_t>(bytes_, at + 12),
                          read_le<std::uint16_t>(bytes_, at + 10)};
      if (directory.offset == kIn64Bits || directory.size == kIn64Bits || directory.n_members == 0xffff) {
        read_zip64(at, directory);
      }
      if (!fits(directory.offset, directory.size, at)) fail("its directory lies outside");
      // Each member takes a header, so a count beyond this can't be true and must not reserve memory.
      if (directory.n_members > directory.size / kCentralHeaderSize) fail("its directory ends early");
      return directory;
    }
    fail("its end is missing (cut short?)");
  }

  void read_zip64(std::size_t end_record, Directory& directory) const {
    if (end_record < kZip64LocatorSize) return;
    const std::size_t locator = end_record - kZip64LocatorSize;
    if (read_le<std::uint32_t>(bytes_, locator) != kZip64Locator) return;
    const auto at = read_le<std::uint64_t>(bytes_, locator + 8);
    if (!fits(at, kZip64EndOfDirectorySize, locator) || read_le<std::uint32_t>(bytes_, at) != kZip64EndOfDirectory) {
      fail("its ZIP64 record lies outside");
    }
    directory = {read_le<std::uint64_t>(bytes_, at + 48), read_le<std::uint64_t>(bytes_, at + 40),
                 read_le<std::uint64_t>(bytes_, at + 32)};
  }

  [[nodiscard]] ZipMember read_member(std::span<const std::byte> entry) const {
    const auto flags = read_le<std::uint16_t>(entry, 8);
    const auto method = read_le<std::uint16_t>(entry, 10);
    const std::size_t name_size = read_le<std::uint16_t>(entry, 28);
    const std::size_t extra_size = read_le<std::uint16_t>(entry, 30);
    std::uint64_t packed_size = read_le<std::uint32_t>(entry, 20);
    std::uint64_t size = read_le<std::uint32_t>(entry, 24);
    std::uint64_t offset = read_le<std::uint32_t>(entry, 42);
    std::string name(as_text(entry.subspan(kCentralHeaderSize, name_size)));
    if ((flags & 1) != 0) throw Error(where_ + ": an encrypted ZIP archive");
    if (method != 0 && method != 8) {
      throw Error(where_ + ": packed by ZIP method " + std::to_string(method) + "; stored (0) and deflate (8) are read");
    }
    read_extra(entry.subspan(kCentralHeaderSize + name_size, extra_size), size, packed_size, offset);

    if (!fits(offset, kLocalHeaderSize, bytes_.size()) || read_le<std::uint32_t>(bytes_, offset) != kLocalHeader) {
      fail("a member lies outside");
    }
    const std::uint64_t data = offset + kLocalHeaderSize + read_le<std::uint16_t>(bytes_, offset + 26) +
                               read_le<std::uint16_t>(bytes_, offset + 28);
    if (!fits(data, packed_size, bytes_.size())) fail("a member lies outside");
    if (method == 0 && packed_size != size) fail("a stored member has two sizes");
    return {std::move(name), method == 8, read_le<std::uint32_t>(entry, 16), size, bytes_.subspan(data, packed_size)};
  }

  /// ZIP64: each of the three that doesn't fit 32 bits stands in the extra field, in this order.
  void read_extra(std::span<const std::byte> extra, std::uint64_t& size, std::uint64_t& packed_size,
                  std::uint64_t& offset) const {
    for (std::size_t at = 0; fits(at, 4, extra.size());) {
      const auto id = read_le<std::uint16_t>(extra, at);
      const std::size_t length = read_le<std::uint16_t>(extra, at + 2);
      at += 4;
      if (!fits(at, length, extra.size())) fail("an extra field ends early");
      if (id == kZip64Extra) {
        std::size_t used = 0;
        for (std::uint64_t* value : {&size, &packed_size, &offset}) {
          if (*value != kIn64Bits) continue;
          if (!fits(used, 8, length)) fail("a ZIP64 field ends early");
          *value = read_le<std::uint64_t>(extra, at + used);
          used += 8;
        }
        return;
      }
      at += length;
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
};

}  // namespace

bool is_zip(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < 4) return false;
  const auto magic = read_le<std::uint32_t>(bytes, 0);
  return magic == kLocalHeader || magic == kEndOfDirectory;
}

std::vector<ZipMember> read_zip(std::span<const std::byte> bytes, const std::string& where) {
  return Reader(bytes, where).read();
}

std::uint32_t crc32(std::span<const std::byte> bytes) noexcept {
  std::uint32_t crc = 0xffffffff;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const std::uint32_t low = crc ^ read_le<std::uint32_t>(bytes, i);
    const auto high = read_le<std::uint32_t>(bytes, i + 4);
    crc = kCrcTables[7][low & 0xff] ^ kCrcTables[6][(low >> 8) & 0xff] ^ kCrcTables[5][(low >> 16) & 0xff] ^
          kCrcTables[4][low >> 24] ^ kCrcTables[3][high & 0xff] ^ kCrcTables[2][(high >> 8) & 0xff] ^
          kCrcTables[1][(high >> 16) & 0xff] ^ kCrcTables[0][high >> 24];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ std::to_integer<std::uint32_t>(bytes[i])) & 0xff];
  return ~crc;
}

}  // namespace koe
