// SPDX-License-Identifier: Apache-2.0
// As much of the Metal Shading Language as koe's kernels use, for a C++ compiler. The text is theirs, unchanged; pointers
// are objects that know their bounds, and a simdgroup's matrices are worked on by its first lane.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "machine.hpp"

namespace koe::emulation {

using uint = std::uint32_t;
using ulong = std::uint64_t;

struct uint3 {
  uint x, y, z;
};

/// IEEE 754 binary16, rounded to nearest, ties to even.
class half {
 public:
  half() = default;
  explicit half(float x) noexcept : bits_(round(x)) {}
  operator float() const noexcept { return widened(bits_); }

 private:
  static std::uint16_t round(float x) noexcept {
    const double magnitude = std::fabs(static_cast<double>(x));
    const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    if (std::isnan(x)) return sign | 0x7e00;
    if (magnitude >= 65520.0) return sign | 0x7c00;
    // As a whole number of units in the last place: 2⁻²⁴ below the smallest normal value, 2⁻¹⁰ of the exponent above it.
    const int exponent = magnitude == 0.0 ? -14 : std::max(-14, std::ilogb(magnitude));
    const auto units = static_cast<unsigned>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
    return static_cast<std::uint16_t>(sign + (static_cast<unsigned>(exponent + 14) << 10) + units);
  }
  static float widen(std::uint16_t bits) noexcept {
    const unsigned exponent = (bits >> 10) & 31u;
    const float mantissa = static_cast<float>(bits & 1023u);
    float x;
    if (exponent == 31) {
      x = mantissa == 0.0f ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    } else {
      x = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024.0f, static_cast<int>(exponent) - 25);
    }
    return (bits & 0x8000u) != 0 ? -x : x;
  }
  static float widened(std::uint16_t bits) noexcept {
    static const std::vector<float> table = [] {
      std::vector<float> t(65536);
      for (std::size_t i = 0; i < t.size(); ++i) t[i] = widen(static_cast<std::uint16_t>(i));
      return t;
    }();
    return table[bits];
  }
  std::uint16_t bits_;
};

using std::atan2;
using std::cos;
using std::exp;
using std::fabs;
using std::fma;
using std::log;
using std::max;
using std::min;
using std::rint;
using std::sin;
using std::sqrt;
using std::tanh;
inline uint mulhi(uint a, uint b) { return static_cast<uint>((std::uint64_t{a} * b) >> 32); }

template <class T>
struct DeviceSpace {
  const Binding* binding = nullptr;
  std::byte* touch(std::int64_t offset, std::size_t bytes, bool is_write, bool) const {
    return machine->device(*binding, offset, bytes, is_write);
  }
  std::uint64_t id() const noexcept { return binding->index; }
};

template <class T>
struct ThreadgroupSpace {
  std::byte* touch(std::int64_t offset, std::size_t bytes, bool is_write, bool is_collective) const {
    return machine->threadgroup(offset, bytes, is_write, is_collective);
  }
  std::uint64_t id() const noexcept { return 99; }
};

/// A pointer into device or threadgroup memory: each access is checked.
template <class T, template <class> class Space>
class Pointer {
 public:
  using Value = std::remove_const_t<T>;

  Pointer(Space<Value> space, std::int64_t offset) : space_(space), offset_(offset) {}
  template <class U>
    requires(std::is_same_v<const U, T>)
  Pointer(const Pointer<U, Space>& other) : space_(other.space()), offset_(other.offset()) {}

  class Reference {
   public:
    Reference(const Pointer& pointer, std::int64_t offset) : pointer_(pointer), offset_(offset) {}
    operator Value() const { return pointer_.load(offset_); }
    const Reference& operator=(Value value) const {
      std::memcpy(pointer_.space_.touch(offset_, sizeof value, true, false), &value, sizeof value);
      return *this;
    }
    const Reference& operator=(const Reference& other) const { return *this = static_cast<Value>(other); }

   private:
    Pointer pointer_;
    std::int64_t offset_;
  };

  auto operator[](std::int64_t i) const {
    const std::int64_t at = offset_ + i * static_cast<std::int64_t>(sizeof(T));
    if constexpr (std::is_const_v<T>) {
      return load(at);
    } else {
      return Reference(*this, at);
    }
  }
  Pointer operator+(std::int64_t n) const { return {space_, offset_ + n * static_cast<std::int64_t>(sizeof(T))}; }

  Space<Value> space() const noexcept { return space_; }
  std::int64_t offset() const noexcept { return offset_; }

 private:
  Value load(std::int64_t at) const {
    Value value;
    std::memcpy(&value, space_.touch(at, sizeof value, false, false), sizeof value);
    return value;
  }
  Space<Value> space_;
  std::int64_t offset_;
};

template <class T>
using device_ptr = Pointer<T, DeviceSpace>;
template <class T>
using threadgroup_ptr = Pointer<T, ThreadgroupSpace>;

inline threadgroup_ptr<half> half_view(threadgroup_ptr<float> p) { return {{}, p.offset()}; }

template <class T, uint kIndex>
struct FunctionConstant {
  operator T() const { return machine->constant(kIndex); }
};

enum class mem_flags : std::uint8_t { mem_none, mem_device, mem_threadgroup };

// A barrier without mem_threadgroup would not order threadgroup memory; the machine's barriers do, so no other is allowed.
inline void threadgroup_barrier(mem_flags flags) {
  if (flags != mem_flags::mem_threadgroup) throw Fault("a barrier that does not order threadgroup memory");
  machine->threadgroup_barrier();
}
inline void simdgroup_barrier(mem_flags flags) {
  if (flags != mem_flags::mem_threadgroup) throw Fault("a barrier that does not order threadgroup memory");
  machine->simdgroup_barrier();
}

template <class T, int kColumns, int kRows>
struct simdgroup_matrix {
  static_assert(kColumns == 8 && kRows == 8, "Metal has 8 × 8 matrices");
  using Row = float __attribute__((vector_size(32)));
  Row row[8];  // what a T holds, as float
};

template <class T, int kColumns, int kRows>
simdgroup_matrix<T, kColumns, kRows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, kColumns, kRows> m;
  machine->collective(1);
  if (machine->is_leader()) {
    for (auto& row : m.row) row = value - typename simdgroup_matrix<T, kColumns, kRows>::Row{};
  }
  return m;
}

template <class T, class U, template <class> class Space>
void simdgroup_load(simdgroup_matrix<T, 8, 8>& m, Pointer<U, Space> from, ulong elements_per_row) {
  static_assert(std::is_same_v<std::remove_const_t<U>, T>);
  machine->collective(2 + (static_cast<std::uint64_t>(from.offset()) << 16) + (elements_per_row << 48) + (from.space().id() << 8));
  if (!machine->is_leader()) return;
  for (int r = 0; r < 8; ++r) {
    T values[8];
    const std::int64_t at = from.offset() + r * static_cast<std::int64_t>(elements_per_row * sizeof(T));
    std::memcpy(values, from.space().touch(at, sizeof values, false, true), sizeof values);
    for (int c = 0; c < 8; ++c) m.row[r][c] = static_cast<float>(values[c]);
  }
}

template <class T, template <class> class Space>
void simdgroup_store(const simdgroup_matrix<T, 8, 8>& m, Pointer<T, Space> to, ulong elements_per_row) {
  machine->collective(3 + (static_cast<std::uint64_t>(to.offset()) << 16) + (elements_per_row << 48) + (to.space().id() << 8));
  if (!machine->is_leader()) return;
  for (int r = 0; r < 8; ++r) {
    T values[8];
    for (int c = 0; c < 8; ++c) values[c] = T(m.row[r][c]);
    const std::int64_t at = to.offset() + r * static_cast<std::int64_t>(elements_per_row * sizeof(T));
    std::memcpy(to.space().touch(at, sizeof values, true, true), values, sizeof values);
  }
}

template <class T>
void simdgroup_multiply_accumulate(simdgroup_matrix<float, 8, 8>& d, const simdgroup_matrix<T, 8, 8>& a,
                                   const simdgroup_matrix<T, 8, 8>& b, const simdgroup_matrix<float, 8, 8>& c) {
  machine->collective(4);
  if (!machine->is_leader()) return;
  for (int r = 0; r < 8; ++r) {
    auto sum = c.row[r];
    for (int k = 0; k < 8; ++k) sum += a.row[r][k] * b.row[k];
    d.row[r] = sum;
  }
}

}  // namespace koe::emulation

#define kernel inline
#define thread
#define constant const
#define KOE_FUNCTION_CONSTANT(type, name, index) inline constexpr FunctionConstant<type, index> name{}
#define KOE_POSITIONS uint3 group, uint thread_index, uint simd_index, uint lane
#define KOE_UNROLL
