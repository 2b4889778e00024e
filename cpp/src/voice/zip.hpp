// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace koe {

/// Whether the bytes start as a ZIP file with or without members does.
bool is_zip(std::span<const std::byte> bytes) noexcept;

struct ZipMember {
  std::string name;
  bool deflated;                      ///< otherwise stored
  std::uint32_t crc32;                ///< of the unpacked bytes
  std::uint64_t size;                 ///< unpacked
  std::span<const std::byte> packed;  ///< inside the archive's bytes
};

/// The members of a ZIP archive (APPNOTE.TXT 6.3, ZIP64 too) in the central directory's order; folders are left out. Every
/// offset is checked. Throws koe::Error, whose message begins with `where`, for an archive that is damaged, encrypted,
/// split over disks, packed by a method other than stored or deflate, or that has two members of one name.
std::vector<ZipMember> read_zip(std::span<const std::byte> bytes, const std::string& where);

std::uint32_t crc32(std::span<const std::byte> bytes) noexcept;

}  // namespace koe
