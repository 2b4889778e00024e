// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
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
      // Large buffers lie on large pages where the system has them: fewer faults when new, fewer TLB misses ever after.
      const std::size_t bytes = n * sizeof(T);
      const std::align_val_t alignment{bytes >= kLargePage ? kLargePage : kCacheLine};
      data_ = {static_cast<T*>(::operator new(bytes, alignment)), Free{alignment}};
#if defined(__linux__)
      if (bytes >= kLargePage) madvise(data_.get(), bytes, MADV_HUGEPAGE);
#endif
      capacity_ = n;
    }
    return data_.get();
  }
  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  static constexpr std::size_t kCacheLine = 64;
  static constexpr std::size_t kLargePage = std::size_t{2} << 20;
  struct Free {
    std::align_val_t alignment{kCacheLine};
    void operator()(T* p) const noexcept { ::operator delete(p, alignment); }
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
