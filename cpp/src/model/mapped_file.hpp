// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace koe {

/// A whole file mapped read-only; the pages are shared with every other process that maps it. Moves, never copies.
/// Someone else who shortens the file while it is mapped makes reads beyond the new end fault: replace files by renaming.
class MappedFile {
 public:
  /// Throws koe::Error, with the path and the system's reason, where there is no such file, it can't be read, or it is not
  /// a regular file. An empty file gives empty bytes.
  static MappedFile open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  /// Starts at a page boundary, so an offset's alignment is its address's.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  /// Gives the pages back to the system, which reads them from the file again when they are touched. Nothing happens where
  /// the system has no such call.
  void release_pages() const noexcept;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  void close() noexcept;

  std::span<const std::byte> bytes_;
};

/// The path as valid UTF-8 for a message, whatever bytes the file system holds; each bad byte becomes '?'.
std::string display(const std::filesystem::path& path);

}  // namespace koe
