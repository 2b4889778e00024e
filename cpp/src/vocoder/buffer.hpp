// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace koe::vocoder {

/// The granularity of output channels and of packed weights: whole vectors for every table.
inline constexpr std::size_t kChannelStep = 16;
/// The granularity of an activation's row and of its channels' parameters: whole granules and tiles in every precision.
inline constexpr std::size_t kRowStep = 64;

constexpr std::size_t round_up(std::size_t n, std::size_t step) noexcept { return (n + step - 1) / step * step; }

/// Memory on 64-byte boundaries that grows and is reused, never shrinks; its contents are undefined until written.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t n) { reserve(n); }

  /// At least n elements from now on; what was in it is gone when it grows.
  T* reserve(std::size_t n) {
    if (n > capacity_) {
      data_.reset();
      capacity_ = 0;
      std::size_t bytes = n * sizeof(T);
      if (bytes >= kLargePage) bytes = round_up(bytes, kPage);
      data_ = {static_cast<T*>(allocate(bytes)), Free{bytes}};
      capacity_ = n;
    }
    return data_.get();
  }
  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  static constexpr std::size_t kCacheLine = 64;
  // At least the system's, whatever that is; not a large one, or the end of each buffer would be wasted.
  static constexpr std::size_t kPage = std::size_t{64} << 10;
  static constexpr std::size_t kLargePage = std::size_t{2} << 20;

  static void* allocate(std::size_t bytes) {
#if defined(__linux__)
    if (bytes >= kLargePage) {
      // Straight from the system: a heap would keep what a grown buffer leaves behind. Large pages, where there are any, mean
      // fewer faults when new and fewer TLB misses ever after; they want memory on their own boundary.
      void* mapped = mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (mapped == MAP_FAILED) throw std::bad_alloc();
      auto* begin = static_cast<std::byte*>(mapped);
      const std::size_t before = (kLargePage - reinterpret_cast<std::uintptr_t>(begin) % kLargePage) % kLargePage;
      if (before > 0) munmap(begin, before);
      if (before < kLargePage) munmap(begin + before + bytes, kLargePage - before);
      madvise(begin + before, bytes, MADV_HUGEPAGE);
      return begin + before;
    }
#endif
    return ::operator new(bytes, std::align_val_t{kCacheLine});
  }

  struct Free {
    std::size_t bytes = 0;
    void operator()(T* p) const noexcept {
#if defined(__linux__)
      if (bytes >= kLargePage) {
        munmap(p, bytes);
        return;
      }
#endif
      ::operator delete(p, std::align_val_t{kCacheLine});
    }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t capacity_ = 0;
};

/// Rows of floats, time-major: a frame a row, `stride` floats from row to row, of which `channels` mean something and the
/// rest are zero.
struct Frames {
  float* data = nullptr;
  std::size_t rows = 0;
  std::size_t channels = 0;
  std::size_t stride = 0;

  float* row(std::size_t r) const noexcept { return data + r * stride; }
};

}  // namespace koe::vocoder
