// SPDX-License-Identifier: Apache-2.0
#include "model/mapped_file.hpp"

#include <cerrno>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include "koe/error.hpp"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace koe {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
  throw Error("cannot read '" + display(path) + "': " + reason);
}

#if defined(_WIN32)
using Code = DWORD;
Code last_code() { return GetLastError(); }
#else
using Code = int;
Code last_code() { return errno; }
#endif

[[noreturn]] void fail_with_code(const std::filesystem::path& path, Code code) {
  fail(path, std::system_category().message(static_cast<int>(code)));
}

#if defined(_WIN32)
class Handle {
 public:
  explicit Handle(HANDLE handle) noexcept : handle_(handle) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (valid()) CloseHandle(handle_);
  }
  [[nodiscard]] bool valid() const noexcept { return handle_ != nullptr && handle_ != INVALID_HANDLE_VALUE; }
  [[nodiscard]] HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_;
};
#else
class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (valid()) ::close(fd_);
  }
  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};
#endif

}  // namespace

#if defined(_WIN32)

MappedFile MappedFile::open(const std::filesystem::path& path) {
  const Handle file(CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.valid()) fail_with_code(path, last_code());
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file.get(), &size)) fail_with_code(path, last_code());
  if (size.QuadPart == 0) return MappedFile({});
  if (static_cast<std::uint64_t>(size.QuadPart) > std::numeric_limits<std::size_t>::max()) fail(path, "too large");
  const Handle mapping(CreateFileMappingW(file.get(), nullptr, PAGE_READONLY, 0, 0, nullptr));
  if (!mapping.valid()) fail_with_code(path, last_code());
  // The view keeps the mapping alive after its handle is closed.
  const void* data = MapViewOfFile(mapping.get(), FILE_MAP_READ, 0, 0, 0);
  if (data == nullptr) fail_with_code(path, last_code());
  return MappedFile({static_cast<const std::byte*>(data), static_cast<std::size_t>(size.QuadPart)});
}

void MappedFile::close() noexcept {
  if (!bytes_.empty()) UnmapViewOfFile(bytes_.data());
  bytes_ = {};
}

void MappedFile::release_pages() const noexcept {
  // Unlocking pages that aren't locked takes them out of the working set, and fails.
  if (!bytes_.empty()) VirtualUnlock(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

#else

MappedFile MappedFile::open(const std::filesystem::path& path) {
  // Non-blocking, because opening a FIFO would otherwise wait for a writer before it could be refused.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) fail_with_code(path, last_code());
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_with_code(path, last_code());
  if (S_ISDIR(status.st_mode)) fail(path, "it is a directory");
  if (!S_ISREG(status.st_mode)) fail(path, "it is not a regular file");
  if (status.st_size == 0) return MappedFile({});
  if (static_cast<std::uint64_t>(status.st_size) > std::numeric_limits<std::size_t>::max()) fail(path, "too large");
  const auto size = static_cast<std::size_t>(status.st_size);
  const void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail_with_code(path, last_code());
  return MappedFile({static_cast<const std::byte*>(data), size});
}

void MappedFile::close() noexcept {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  bytes_ = {};
}

void MappedFile::release_pages() const noexcept {
  if (!bytes_.empty()) ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

#endif

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    close();
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

MappedFile::~MappedFile() { close(); }

std::string display(const std::filesystem::path& path) {
  const std::u8string raw = path.u8string();
  std::string text;
  text.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size();) {
    const auto lead = static_cast<unsigned char>(raw[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : (lead & 0xF0) == 0xE0 ? 3
                               : lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
    bool valid = length != 0 && i + length <= raw.size();
    for (std::size_t k = 1; valid && k < length; ++k) valid = (static_cast<unsigned char>(raw[i + k]) & 0xC0) == 0x80;
    if (valid && length >= 3) {
      // Overlong forms, surrogates, and what lies beyond U+10FFFF: told by the lead and the byte after it.
      const auto next = static_cast<unsigned char>(raw[i + 1]);
      valid = !(lead == 0xE0 && next < 0xA0) && !(lead == 0xED && next >= 0xA0) && !(lead == 0xF0 && next < 0x90) &&
              !(lead == 0xF4 && next >= 0x90);
    }
    if (valid) {
      text.append(raw.begin() + static_cast<std::ptrdiff_t>(i), raw.begin() + static_cast<std::ptrdiff_t>(i + length));
      i += length;
    } else {
      text += '?';
      ++i;
    }
  }
  return text;
}

}  // namespace koe
