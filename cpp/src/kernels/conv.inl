// SPDX-License-Identifier: Apache-2.0
// The convolution as shifted matrix products, written once over an operation Op that the including file
// defines. kRows × kVectors accumulators stay in registers over all taps and input channels; a step broadcasts one granule a row and multiplies it with
// kVectors vectors of weights. Rows are the outer loop inside a panel of output channels, so that the panel's weights
// stay in L2 for a whole block.
//
// Op: sum (accumulator), in (granules), load(weights), broadcast(granule), madd(sum, in, in); for int8 `scaled`, with the
// start value and the conversion of a tap's sum. An Op whose instructions don't broadcast has its own `tile` instead.

// One tap into kRows × kVectors sums that stay in registers.
template <class Op, int kRows, int kVectors>
KOE_INLINE void multiply(const char* x, std::size_t step, const char* w, std::size_t granules,
                     typename Op::sum (&sum)[kRows][kVectors]) noexcept {
  if constexpr (requires { Op::tile(x, step, w, granules, sum); }) {
    Op::tile(x, step, w, granules, sum);
  } else {
    for (std::size_t g = 0; g < granules; ++g, x += 4, w += kVectors * V::width * 4) {
      typename Op::in weight[kVectors];
      KOE_UNROLL
      for (int v = 0; v < kVectors; ++v) weight[v] = Op::load(w + static_cast<std::size_t>(v) * V::width * 4);
      KOE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const typename Op::in value = Op::broadcast(x + static_cast<std::size_t>(r) * step);
        KOE_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[r][v] = Op::madd(sum[r][v], value, weight[v]);
      }
    }
  }
}

// One tap of an 8-bit product: its sums are integers, every row has its scale, and the total waits in memory.
template <class Op, int kRows, int kVectors>
KOE_INLINE void multiply_scaled(const char* x, std::size_t step, const char* w, std::size_t granules, const std::int32_t* zero_sum,
                            const float* scale, std::size_t scale_step, float* total) noexcept {
  typename Op::sum sum[kRows][kVectors];
  KOE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Op::start(zero_sum + static_cast<std::size_t>(v) * V::width);
  }
  multiply<Op, kRows, kVectors>(x, step, w, granules, sum);
  KOE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const V::f32 s = V::set1(scale[static_cast<std::size_t>(r) * scale_step]);
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float* t = total + static_cast<std::size_t>(r * kVectors + v) * V::width;
      V::store(t, V::fma(Op::to_float(sum[r][v]), s, V::load(t)));
    }
  }
}

// A minimal filter's products, of which there are many with few operations each: nothing happens to them but a sum.
template <int kRows, int kVectors>
KOE_INLINE void store_products(const ConvArgs& a, std::size_t row, std::size_t channel, std::size_t rows,
                           const V::f32 (&total)[kRows][kVectors]) noexcept {
  KOE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    if (static_cast<std::size_t>(r) >= rows) break;
    const std::size_t at = (row + static_cast<std::size_t>(r)) * a.out_stride + channel;
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const std::size_t c = at + static_cast<std::size_t>(v) * V::width;
      V::store(a.out + c, a.accumulate ? V::add(total[r][v], V::load(a.accumulate + c)) : total[r][v]);
    }
  }
}

template <class Op, int kRows, int kVectors>
void conv_tile(const ConvArgs& a, std::size_t row, std::size_t channel) noexcept {
  const char* in = static_cast<const char*>(a.input) + row * a.row_step * a.input_stride;
  const char* w = static_cast<const char*>(a.weights) + channel * a.taps * a.granules * 4;
  const std::size_t step = a.row_step * a.input_stride;
  const std::size_t tap_step = a.dilation * a.input_stride;
  const std::size_t tap_weights = kVectors * V::width * a.granules * 4;

  V::f32 total[kRows][kVectors];
  if constexpr (Op::scaled) {
    alignas(64) float memory[kRows * kVectors * V::width] = {};
    for (std::size_t tap = 0; tap < a.taps; ++tap) {
      multiply_scaled<Op, kRows, kVectors>(in + tap * tap_step, step, w + tap * tap_weights, a.granules,
                                           a.weight_sum + tap * a.channel_stride + channel,
                                           a.row_scale + row * a.row_step + tap * a.dilation, a.row_step, memory);
    }
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const V::f32 s = V::load(a.weight_scale + channel + static_cast<std::size_t>(v) * V::width);
      KOE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        total[r][v] = V::mul(V::load(memory + static_cast<std::size_t>(r * kVectors + v) * V::width), s);
      }
    }
  } else {
    KOE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      KOE_UNROLL
      for (int v = 0; v < kVectors; ++v) total[r][v] = V::set1(0.0f);
    }
    for (std::size_t tap = 0; tap < a.taps; ++tap) {
      multiply<Op, kRows, kVectors>(in + tap * tap_step, step, w + tap * tap_weights, a.granules, total);
    }
  }

  const std::size_t rows = a.rows - row < kRows ? a.rows - row : kRows;
  if constexpr (!Op::scaled) {
    if (!a.bias) return store_products(a, row, channel, rows, total);
  }
  const V::f32 gain = V::set1(a.gain);
  V::f32 sum[kVectors];
  V::f32 square[kVectors];
  KOE_UNROLL
  for (int v = 0; v < kVectors; ++v) sum[v] = square[v] = V::set1(0.0f);
  KOE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    if (static_cast<std::size_t>(r) >= rows) break;
    const std::size_t at = (row + static_cast<std::size_t>(r)) * a.out_stride + channel;
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const std::size_t c = static_cast<std::size_t>(v) * V::width;
      V::f32 y = V::add(total[r][v], V::load(a.bias + channel + c));
      if (a.residual) y = V::add(y, V::load(a.residual + at + c));
      if (a.accumulate) y = V::add(y, V::load(a.accumulate + at + c));
      y = V::mul(y, gain);
      V::store(a.out + at + c, y);
      sum[v] = V::add(sum[v], y);
      square[v] = V::fma(y, y, square[v]);
    }
  }
  if (a.sums) {
    KOE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float* s = a.sums + channel + static_cast<std::size_t>(v) * V::width;
      V::store(s, V::add(V::load(s), sum[v]));
      V::store(s + a.channel_stride, V::add(V::load(s + a.channel_stride), square[v]));
    }
  }
}

template <class Op, int kRows, int kVectors>
void conv_panel(const ConvArgs& a, std::size_t channel) noexcept {
  for (std::size_t row = 0; row < a.rows; row += kRows) conv_tile<Op, kRows, kVectors>(a, row, channel);
}

// Panels of kVectors vectors, then one of what is left.
template <class Op, int kRows, int kVectors>
void conv(const ConvArgs& a) noexcept {
  constexpr std::size_t kPanel = kVectors * V::width;
  std::size_t channel = 0;
  for (; channel + kPanel <= a.channels; channel += kPanel) conv_panel<Op, kRows, kVectors>(a, channel);
  const std::size_t left = (a.channels - channel) / V::width;
  if constexpr (kVectors > 1) {
    if (left == 1) conv_panel<Op, kRows, 1>(a, channel);
  }
  if constexpr (kVectors > 2) {
    if (left == 2) conv_panel<Op, kRows, 2>(a, channel);
    if (left == 3) conv_panel<Op, kRows, 3>(a, channel);
  }
}
