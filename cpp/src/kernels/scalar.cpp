// SPDX-License-Identifier: Apache-2.0
// The portable table and the reference for all others: plain C++ on vectors of four floats, which compilers turn into
// their baseline SIMD. It has every precision, so that each instruction set's kernels can be held against it.
#include <cstring>

#include "kernels/kernels.hpp"
#include "kernels/compiler.inl"

namespace koe::kernels {
namespace {

#if defined(__GNUC__)
// The compiler's own vectors, in whatever the target has for 16 bytes.
using F4 = float __attribute__((vector_size(16)));
using I4 = std::int32_t __attribute__((vector_size(16)));
#else
template <class T>
struct Lanes {
  T lane[4];
  T operator[](int i) const noexcept { return lane[i]; }
  T& operator[](int i) noexcept { return lane[i]; }
  template <class F>
  friend Lanes zip(Lanes a, Lanes b, F f) noexcept {
    return {{f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])}};
  }
  friend Lanes operator+(Lanes a, Lanes b) noexcept { return zip(a, b, [](T x, T y) { return x + y; }); }
  friend Lanes operator-(Lanes a, Lanes b) noexcept { return zip(a, b, [](T x, T y) { return x - y; }); }
  friend Lanes operator*(Lanes a, Lanes b) noexcept { return zip(a, b, [](T x, T y) { return x * y; }); }
};
using F4 = Lanes<float>;
using I4 = Lanes<std::int32_t>;
#endif

struct V {
  using f32 = F4;
  static constexpr std::size_t width = 4;
  static f32 load(const float* p) noexcept { return f32{p[0], p[1], p[2], p[3]}; }
  static f32 load_int8(const std::int8_t* p) noexcept {
    return f32{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]), static_cast<float>(p[3])};
  }
  static void store(float* p, f32 x) noexcept { std::memcpy(p, &x, sizeof x); }
  static f32 set1(float x) noexcept { return f32{x, x, x, x}; }
  static f32 fma(f32 a, f32 b, f32 c) noexcept { return a * b + c; }
  static f32 add(f32 a, f32 b) noexcept { return a + b; }
  static f32 sub(f32 a, f32 b) noexcept { return a - b; }
  static f32 mul(f32 a, f32 b) noexcept { return a * b; }
  static f32 max(f32 a, f32 b) noexcept {
    for (int i = 0; i < 4; ++i) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
  }
  static f32 abs(f32 a) noexcept {
    for (int i = 0; i < 4; ++i) a[i] = a[i] < 0.0f ? -a[i] : a[i];
    return a;
  }
  // Adding and taking away 1.5 · 2²³ leaves the nearest integer, ties to even, and vectorises where rint does not.
  static f32 round(f32 a) noexcept { return (a + set1(12582912.0f)) - set1(12582912.0f); }
  static float reduce_max(f32 a) noexcept {
    float m = a[0];
    for (int i = 1; i < 4; ++i) m = a[i] > m ? a[i] : m;
    return m;
  }
};

#include "kernels/conv.inl"
#include "kernels/elementwise.inl"

struct F32 {
  static constexpr bool scaled = false;
  using sum = V::f32;
  using in = V::f32;
  static in load(const char* p) noexcept { return V::load(reinterpret_cast<const float*>(p)); }
  static in broadcast(const char* p) noexcept { return V::set1(*reinterpret_cast<const float*>(p)); }
  static V::f32 madd(V::f32 sum, in a, in b) noexcept { return V::fma(a, b, sum); }
};

inline float from_bf16(std::uint16_t h) noexcept {
  const std::uint32_t bits = static_cast<std::uint32_t>(h) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline std::uint16_t to_bf16(float x) noexcept {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

struct StoreBf16 {
  static constexpr int terms = 3;
  static constexpr std::size_t bytes = 2;
  static void store(void* p, V::f32 x) noexcept {
    for (int i = 0; i < 4; ++i) static_cast<std::uint16_t*>(p)[i] = to_bf16(x[i]);
  }
};

// Four granules of values narrower than a float.
template <class Value>
struct Granules {
  struct in {
    Value lane[4][4 / sizeof(Value)];
  };
  static in load(const char* p) noexcept {
    in x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static in broadcast(const char* p) noexcept {
    in x;
    for (auto& granule : x.lane) std::memcpy(granule, p, 4);
    return x;
  }
};

struct Bf16 : Granules<std::uint16_t> {
  static constexpr bool scaled = false;
  using sum = V::f32;
  static V::f32 madd(V::f32 sum, in a, in b) noexcept {
    for (int i = 0; i < 4; ++i) {
      sum[i] += from_bf16(a.lane[i][0]) * from_bf16(b.lane[i][0]) + from_bf16(a.lane[i][1]) * from_bf16(b.lane[i][1]);
    }
    return sum;
  }
};

struct StoreI8 {
  static void store(std::uint8_t* p, V::f32 x) noexcept {
    x = V::round(x);
    for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(x[i]));
  }
};

struct I8 : Granules<std::int8_t> {
  static constexpr bool scaled = true;
  using sum = I4;
  static sum start(const std::int32_t* zero_sum) noexcept {
    return I4{-zero_sum[0], -zero_sum[1], -zero_sum[2], -zero_sum[3]};
  }
  static sum madd(sum s, in a, in b) noexcept {
    for (int i = 0; i < 4; ++i) {
      for (int k = 0; k < 4; ++k) s[i] += a.lane[i][k] * b.lane[i][k];
    }
    return s;
  }
  static V::f32 to_float(sum s) noexcept {
    return V::f32{static_cast<float>(s[0]), static_cast<float>(s[1]), static_cast<float>(s[2]), static_cast<float>(s[3])};
  }
};

constexpr Table kTable{
    .name = "scalar",
    .float32 = {2, 16, 0, stage<StoreF32>, conv<F32, 2, 4>},
    .bfloat16 = {2, 16, 0, stage<StoreBf16>, conv<Bf16, 2, 4>},
    .int8 = {2, 16, 0, quantize<StoreI8>, conv<I8, 2, 4>},
    .sums = sums,
    .expand = expand,
};

}  // namespace

const Table* scalar() noexcept { return &kTable; }

}  // namespace koe::kernels
