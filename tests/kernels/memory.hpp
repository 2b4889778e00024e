// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace koe::kernel_tests {

/// What a kernel did wrong.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Pages of its own, between two that no one may touch. The block ends right before the second one, so that a kernel
/// which reads or writes past its end faults at once; what alignment leaves on either side is filled with guard bytes.
class Pages {
 public:
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::byte* data() const noexcept { return data_; }
  /// Throws Failure if a guard byte has changed.
  void check() const;

 private:
  std::byte* mapped_;
  std::size_t mapped_bytes_;
  std::byte* data_;
  std::size_t bytes_;
};

/// n elements on a 64-byte boundary, between guards, each byte 0xff to begin with: a NaN for floats.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t n) : pages_(n * sizeof(T)), size_(n) { std::memset(pages_.data(), 0xff, n * sizeof(T)); }

  T* data() const noexcept { return reinterpret_cast<T*>(pages_.data()); }
  T& operator[](std::size_t i) const noexcept { return data()[i]; }
  std::size_t size() const noexcept { return size_; }
  T* begin() const noexcept { return data(); }
  T* end() const noexcept { return data() + size_; }
  void check() const { pages_.check(); }

 private:
  Pages pages_;
  std::size_t size_;
};

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers everywhere for one seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t bits() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In [low, high).
  float uniform(float low, float high) noexcept {
    return low + (high - low) * static_cast<float>(bits() >> 40) * 0x1p-24f;
  }
  /// In [low, high], both included.
  int integer(int low, int high) noexcept {
    return low + static_cast<int>((bits() >> 32) * static_cast<std::uint64_t>(high - low + 1) >> 32);
  }

 private:
  std::uint64_t state_;
};

/// The case that runs, for the message of a fault as well as of a failure.
void set_case(const std::string& text);
const char* current_case() noexcept;

/// From now on a fault (a guard page, an illegal instruction) says in which case it happened and ends the program.
void report_faults();

constexpr std::size_t round_up(std::size_t n, std::size_t step) noexcept { return (n + step - 1) / step * step; }

inline bool same_bytes(const void* a, const void* b, std::size_t n) noexcept { return std::memcmp(a, b, n) == 0; }

}  // namespace koe::kernel_tests
