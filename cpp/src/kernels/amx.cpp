// SPDX-License-Identifier: Apache-2.0
// AMX: matrix products on tiles. A step loads two tiles of staged rows (16 rows × 16 granules each) and two of weights
// (16 granules × 16 channels each) and adds their four products to a 32 × 32 output block in the other four tiles. Staged
// rows and packed weights have just the layout that the instructions want, so nothing is copied. Loads stand between the
// products, which hide them; all loads first and all products after them is half as fast.
//
// Everything that is no product is AVX-512. KOE_TILE_EMULATION names a header that stands in for the tile instructions, so
// that these kernels are tested on machines without them.
#include "kernels/avx512.inl"
#include "kernels/avx512bf16.inl"

#if defined(KOE_TILE_EMULATION)
#include KOE_TILE_EMULATION
#endif

namespace koe::kernels {
namespace {

constexpr std::size_t kTile = 16;
constexpr std::size_t kBlock = 2 * kTile;

// Palette 1, all eight tiles 16 rows of 64 bytes. Others in this thread may use tiles too, so each call sets them up.
class Tiles {
 public:
  Tiles() noexcept {
    alignas(64) Configuration configuration{};
    configuration.palette = 1;
    for (int i = 0; i < 8; ++i) {
      configuration.row_bytes[i] = 64;
      configuration.rows[i] = 16;
    }
#if defined(__GNUC__)
    // GCC does not know that the instruction reads the whole struct, and would drop the stores above.
    __asm__ volatile("" ::"r"(&configuration) : "memory");
#endif
    _tile_loadconfig(&configuration);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  struct Configuration {
    std::uint8_t palette;
    std::uint8_t start_row;
    std::uint8_t reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
  };
  static_assert(sizeof(Configuration) == 64);
};

// Tiles 0–3 are the output block's (0 1 over 2 3), 4 and 5 the rows', 6 and 7 the weights'.
struct Bf16 {
  static void product0() noexcept { _tile_dpbf16ps(0, 4, 6); }
  static void product1() noexcept { _tile_dpbf16ps(1, 4, 7); }
  static void product2() noexcept { _tile_dpbf16ps(2, 5, 6); }
  static void product3() noexcept { _tile_dpbf16ps(3, 5, 7); }
};

struct I8 {
  static void product0() noexcept { _tile_dpbssd(0, 4, 6); }
  static void product1() noexcept { _tile_dpbssd(1, 4, 7); }
  static void product2() noexcept { _tile_dpbssd(2, 5, 6); }
  static void product3() noexcept { _tile_dpbssd(3, 5, 7); }
};

struct StoreI8 {
  static void store(std::uint8_t* p, V::f32 x) noexcept {
    _mm_store_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
  }
};

KOE_INLINE void clear() noexcept {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// One tap: kTall and kWide say whether the block has a second tile of rows and of channels.
template <class Product, bool kTall, bool kWide>
KOE_INLINE void multiply(const char* x, std::size_t x_stride, const char* w, std::size_t granules) noexcept {
  constexpr std::size_t kLine = (kWide ? kBlock : kTile) * 4;
  const auto stride = static_cast<long>(x_stride);
  for (std::size_t g = 0; g < granules; g += kTile, x += kTile * 4, w += kTile * kLine) {
    _tile_loadd(6, w, kLine);
    _tile_loadd(4, x, stride);
    Product::product0();
    if constexpr (kWide) {
      _tile_loadd(7, w + kTile * 4, kLine);
      Product::product1();
    }
    if constexpr (kTall) {
      _tile_loadd(5, x + kTile * x_stride, stride);
      Product::product2();
      if constexpr (kWide) Product::product3();
    }
  }
}

// The output block's tiles, to rows of kBlock values.
template <bool kTall, bool kWide>
KOE_INLINE void unload(void* out) noexcept {
  constexpr long kLine = kBlock * 4;
  char* p = static_cast<char*>(out);
  _tile_stored(0, p, kLine);
  if constexpr (kWide) _tile_stored(1, p + kTile * 4, kLine);
  if constexpr (kTall) _tile_stored(2, p + kTile * static_cast<std::size_t>(kLine), kLine);
  if constexpr (kTall && kWide) _tile_stored(3, p + kTile * static_cast<std::size_t>(kLine) + kTile * 4, kLine);
}

// Bias, residual, running mean, gain and sums, a vector of channels at a time.
void finish(const ConvArgs& a, const float* block, std::size_t row, std::size_t rows, std::size_t channel,
            std::size_t channels) noexcept {
  const V::f32 gain = V::set1(a.gain);
  for (std::size_t c = 0; c < channels; c += V::width) {
    const V::f32 bias = V::load(a.bias + channel + c);
    V::f32 sum = V::set1(0.0f);
    V::f32 square = sum;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t at = (row + r) * a.out_stride + channel + c;
      V::f32 y = V::add(V::load(block + r * kBlock + c), bias);
      if (a.residual) y = V::add(y, V::load(a.residual + at));
      if (a.accumulate) y = V::add(y, V::load(a.accumulate + at));
      y = V::mul(y, gain);
      V::store(a.out + at, y);
      sum = V::add(sum, y);
      square = V::fma(y, y, square);
    }
    if (a.sums) {
      float* s = a.sums + channel + c;
      V::store(s, V::add(V::load(s), sum));
      V::store(s + a.channel_stride, V::add(V::load(s + a.channel_stride), square));
    }
  }
}

template <bool kTall, bool kWide>
void block_bf16(const ConvArgs& a, std::size_t row, std::size_t rows, std::size_t channel) noexcept {
  constexpr std::size_t kWidth = kWide ? kBlock : kTile;
  const char* x = static_cast<const char*>(a.input) + row * a.row_step * a.input_stride;
  const char* w = static_cast<const char*>(a.weights) + channel * a.taps * a.granules * 4;
  clear();
  for (std::size_t tap = 0; tap < a.taps; ++tap) {
    multiply<Bf16, kTall, kWide>(x + tap * a.dilation * a.input_stride, a.row_step * a.input_stride,
                                 w + tap * a.granules * kWidth * 4, a.granules);
  }
  alignas(64) float block[kBlock * kBlock];
  unload<kTall, kWide>(block);
  finish(a, block, row, rows, channel, kWidth);
}

// Every staged row has its scale, so a tap's integer sums are scaled and added up in float32 before the next tap.
template <bool kTall, bool kWide>
void block_int8(const ConvArgs& a, std::size_t row, std::size_t rows, std::size_t channel) noexcept {
  constexpr std::size_t kWidth = kWide ? kBlock : kTile;
  constexpr std::size_t kHeight = kTall ? kBlock : kTile;
  const char* x = static_cast<const char*>(a.input) + row * a.row_step * a.input_stride;
  const char* w = static_cast<const char*>(a.weights) + channel * a.taps * a.granules * 4;
  alignas(64) std::int32_t sums[kBlock * kBlock];
  alignas(64) float block[kBlock * kBlock] = {};
  for (std::size_t tap = 0; tap < a.taps; ++tap) {
    clear();
    multiply<I8, kTall, kWide>(x + tap * a.dilation * a.input_stride, a.row_step * a.input_stride,
                               w + tap * a.granules * kWidth * 4, a.granules);
    unload<kTall, kWide>(sums);
    const float* scale = a.row_scale + row * a.row_step + tap * a.dilation;
    for (std::size_t r = 0; r < kHeight; ++r) {
      const V::f32 s = V::set1(scale[r * a.row_step]);
      for (std::size_t c = 0; c < kWidth; c += V::width) {
        float* p = block + r * kBlock + c;
        const V::f32 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + r * kBlock + c));
        V::store(p, V::fma(sum, s, V::load(p)));
      }
    }
  }
  for (std::size_t c = 0; c < kWidth; c += V::width) {
    const V::f32 s = V::load(a.weight_scale + channel + c);
    for (std::size_t r = 0; r < rows; ++r) {
      float* p = block + r * kBlock + c;
      V::store(p, V::mul(V::load(p), s));
    }
  }
  finish(a, block, row, rows, channel, kWidth);
}

template <bool kInt8, bool kWide>
void panel(const ConvArgs& a, std::size_t channel) noexcept {
  for (std::size_t row = 0; row < a.rows; row += kBlock) {
    const std::size_t rows = a.rows - row < kBlock ? a.rows - row : kBlock;
    if constexpr (kInt8) {
      rows > kTile ? block_int8<true, kWide>(a, row, rows, channel) : block_int8<false, kWide>(a, row, rows, channel);
    } else {
      rows > kTile ? block_bf16<true, kWide>(a, row, rows, channel) : block_bf16<false, kWide>(a, row, rows, channel);
    }
  }
}

template <bool kInt8>
void conv_tiles(const ConvArgs& a) noexcept {
  const Tiles tiles;
  std::size_t channel = 0;
  for (; channel + kBlock <= a.channels; channel += kBlock) panel<kInt8, true>(a, channel);
  if (channel < a.channels) panel<kInt8, false>(a, channel);
}

constexpr Table kTable{
    .name = "amx",
    .float32 = {6, 64, 0, stage<StoreF32>, conv<F32, 6, 4>},
    .bfloat16 = {kBlock, kBlock, 0, stage<StoreBf16>, conv_tiles<false>},
    .int8 = {kBlock, kBlock, 0, quantize<StoreI8>, conv_tiles<true>},
    .sums = sums,
    .expand = expand,
    .filter_in = filter_in,
    .filter_weights = filter_weights,
    .filter_out = filter_out,
    .fastest = Precision::bfloat16,
};

}  // namespace

const Table* amx() noexcept { return &kTable; }

}  // namespace koe::kernels
