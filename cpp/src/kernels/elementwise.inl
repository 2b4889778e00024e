// SPDX-License-Identifier: Apache-2.0
// Staging (normalise, activate, convert) and column sums, written once over a vector type V that the including file
// defines in its anonymous namespace: width, f32, load, load_int8, store, set1, fma, add, mul, max, round, and one store a
// staged precision. Four rows at a time share the loads of the channels' parameters.

// sin(πr) on |r| ≤ ½ as r·P(r²), fitted for the smallest largest error: 5 terms reach float32's rounding, 3 terms 7e-5, far
// below what bfloat16 resolves.
template <int kTerms>
inline V::f32 sin_pi(V::f32 r) noexcept {
  const V::f32 z = V::mul(r, r);
  V::f32 p;
  if constexpr (kTerms == 5) {
    p = V::fma(V::set1(0.07722012f), z, V::set1(-0.59804517f));
    p = V::fma(p, z, V::set1(2.5500314f));
    p = V::fma(p, z, V::set1(-5.1677069f));
    p = V::fma(p, z, V::set1(3.1415925f));
  } else {
    p = V::fma(V::set1(2.2995473f), z, V::set1(-5.1369053f));
    p = V::fma(p, z, V::set1(3.1406400f));
  }
  return V::mul(p, r);
}

// Snake (Ziyin 2020), x + sin²(αx)/α: reduced to half a turn, so that any αx is as exact as αx itself.
template <int kTerms>
inline V::f32 snake(V::f32 x, V::f32 alpha_over_pi, V::f32 inverse_alpha) noexcept {
  const V::f32 turns = V::mul(x, alpha_over_pi);
  const V::f32 s = sin_pi<kTerms>(V::sub(turns, V::round(turns)));
  return V::fma(V::mul(s, s), inverse_alpha, x);
}

template <Activation kActivation, int kTerms>
inline V::f32 activate(const StageArgs& a, V::f32 x, std::size_t c) noexcept {
  const V::f32 y = V::fma(x, V::load(a.scale + c), V::load(a.shift + c));
  if constexpr (kActivation == Activation::leaky) return V::max(y, V::mul(y, V::set1(a.slope)));
  if constexpr (kActivation == Activation::snake) {
    return snake<kTerms>(y, V::load(a.alpha_over_pi + c), V::load(a.inverse_alpha + c));
  }
  return y;
}

struct StoreF32 {
  static constexpr int terms = 5;
  static constexpr std::size_t bytes = 4;
  static void store(void* p, V::f32 x) noexcept { V::store(static_cast<float*>(p), x); }
};

template <class Store, Activation kActivation>
void stage_rows(const StageArgs& a) noexcept {
  std::size_t r = 0;
  for (; r + 4 <= a.rows; r += 4) {
    const float* x = a.x + r * a.x_stride;
    char* out = static_cast<char*>(a.out) + r * a.out_stride;
    for (std::size_t c = 0; c < a.channels; c += V::width) {
      KOE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const V::f32 v = V::load(x + static_cast<std::size_t>(i) * a.x_stride + c);
        Store::store(out + static_cast<std::size_t>(i) * a.out_stride + c * Store::bytes,
                     activate<kActivation, Store::terms>(a, v, c));
      }
    }
  }
  for (; r < a.rows; ++r) {
    const float* x = a.x + r * a.x_stride;
    char* out = static_cast<char*>(a.out) + r * a.out_stride;
    for (std::size_t c = 0; c < a.channels; c += V::width) {
      Store::store(out + c * Store::bytes, activate<kActivation, Store::terms>(a, V::load(x + c), c));
    }
  }
}

template <class Store>
void stage(const StageArgs& a) noexcept {
  switch (a.activation) {
    case Activation::none: return stage_rows<Store, Activation::none>(a);
    case Activation::leaky: return stage_rows<Store, Activation::leaky>(a);
    case Activation::snake: return stage_rows<Store, Activation::snake>(a);
  }
}

// q − zero is exact, so a value is rounded where it is scaled, and nowhere else.
void expand(const ExpandArgs& a) noexcept {
  const std::int8_t* q = a.q;
  float* out = a.out;
  for (std::size_t line = 0; line < a.lines; ++line) {
    for (std::size_t v = 0; v < a.values; v += V::width, q += V::width, out += V::width) {
      V::store(out, V::mul(V::sub(V::load_int8(q), V::load(a.zero + v)), V::load(a.scale + v)));
    }
  }
}

// int8: a row is activated into a scratch row while its largest magnitude is found, then scaled to ±127.
inline constexpr std::size_t kMaxChannels = 2048;

template <class Store, Activation kActivation>
void quantize_rows(const StageArgs& a) noexcept {
  alignas(64) float scratch[kMaxChannels];
  for (std::size_t r = 0; r < a.rows; ++r) {
    const float* x = a.x + r * a.x_stride;
    V::f32 largest = V::set1(1e-20f);
    for (std::size_t c = 0; c < a.channels; c += V::width) {
      const V::f32 v = activate<kActivation, 3>(a, V::load(x + c), c);
      largest = V::max(largest, V::abs(v));
      V::store(scratch + c, v);
    }
    const float peak = V::reduce_max(largest);
    const V::f32 to_int = V::set1(127.0f / peak);
    std::uint8_t* out = static_cast<std::uint8_t*>(a.out) + r * a.out_stride;
    for (std::size_t c = 0; c < a.channels; c += V::width) {
      Store::store(out + c, V::mul(V::load(scratch + c), to_int));
    }
    a.row_scale[r] = peak / 127.0f;
  }
}

template <class Store>
void quantize(const StageArgs& a) noexcept {
  switch (a.activation) {
    case Activation::none: return quantize_rows<Store, Activation::none>(a);
    case Activation::leaky: return quantize_rows<Store, Activation::leaky>(a);
    case Activation::snake: return quantize_rows<Store, Activation::snake>(a);
  }
}

void sums(const float* x, std::size_t stride, std::size_t rows, std::size_t channels, float* out) noexcept {
  for (std::size_t c = 0; c < channels; c += V::width) {
    V::f32 s = V::set1(0.0f);
    V::f32 q = s;
    for (std::size_t r = 0; r < rows; ++r) {
      const V::f32 v = V::load(x + r * stride + c);
      s = V::add(s, v);
      q = V::fma(v, v, q);
    }
    V::store(out + c, V::add(V::load(out + c), s));
    V::store(out + channels + c, V::add(V::load(out + channels + c), q));
  }
}
