// SPDX-License-Identifier: Apache-2.0
// Stands in for AMX's tile instructions (Intel's Software Developer's Manual, vol. 1, ch. 18), and is stricter: a tile that is
// used before it is set up, or that is multiplied before it is loaded or zeroed, ends the program.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace koe::kernels {
namespace {

struct EmulatedTile {
  std::size_t rows = 0;
  std::size_t row_bytes = 0;
  bool filled = false;
  std::array<std::array<std::byte, 64>, 16> data{};

  template <class T>
  T at(std::size_t row, std::size_t column) const noexcept {
    T value;
    std::memcpy(&value, &data[row][column * sizeof(T)], sizeof value);
    return value;
  }
  template <class T>
  void put(std::size_t row, std::size_t column, T value) noexcept {
    std::memcpy(&data[row][column * sizeof(T)], &value, sizeof value);
  }
};

thread_local std::array<EmulatedTile, 8> emulated_tiles;

void require(bool good, const char* what) noexcept {
  if (good) return;
  std::printf("tiles: %s\n", what);
  std::abort();
}

EmulatedTile& emulated_tile(std::size_t index, bool filled) noexcept {
  EmulatedTile& tile = emulated_tiles.at(index);
  require(tile.rows != 0, "used before they were set up");
  require(tile.filled || !filled, "read before they were filled");
  return tile;
}

void emulate_loadconfig(const void* configuration) noexcept {
  std::array<std::uint8_t, 64> bytes;
  std::memcpy(bytes.data(), configuration, bytes.size());
  require(bytes[0] == 1, "set up with a palette other than 1");
  for (std::size_t i = 0; i < emulated_tiles.size(); ++i) {
    emulated_tiles[i] = {};
    emulated_tiles[i].row_bytes = bytes[16 + 2 * i] + 256u * bytes[17 + 2 * i];
    emulated_tiles[i].rows = bytes[48 + i];
    require(emulated_tiles[i].row_bytes <= 64 && emulated_tiles[i].rows <= 16, "set up larger than they are");
  }
}

void emulate_release() noexcept { emulated_tiles.fill({}); }

void emulate_zero(std::size_t index) noexcept {
  EmulatedTile& tile = emulated_tile(index, false);
  tile.data = {};
  tile.filled = true;
}

void emulate_loadd(std::size_t index, const void* base, std::ptrdiff_t stride) noexcept {
  EmulatedTile& tile = emulated_tile(index, false);
  for (std::size_t r = 0; r < tile.rows; ++r) {
    std::memcpy(tile.data[r].data(), static_cast<const char*>(base) + static_cast<std::ptrdiff_t>(r) * stride, tile.row_bytes);
  }
  tile.filled = true;
}

void emulate_stored(std::size_t index, void* base, std::ptrdiff_t stride) noexcept {
  const EmulatedTile& tile = emulated_tile(index, true);
  for (std::size_t r = 0; r < tile.rows; ++r) {
    std::memcpy(static_cast<char*>(base) + static_cast<std::ptrdiff_t>(r) * stride, tile.data[r].data(), tile.row_bytes);
  }
}

// sum[m][n] += Σ over k of the dot product of the granules a[m][k] and b[k][n].
template <class Sum, class Dot>
void emulate_product(std::size_t sum_index, std::size_t a_index, std::size_t b_index, Dot dot) noexcept {
  EmulatedTile& sum = emulated_tile(sum_index, true);
  const EmulatedTile& a = emulated_tile(a_index, true);
  const EmulatedTile& b = emulated_tile(b_index, true);
  require(sum.rows == a.rows && sum.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows, "multiplied with sizes that don't fit");
  for (std::size_t m = 0; m < sum.rows; ++m) {
    for (std::size_t k = 0; k < b.rows; ++k) {
      for (std::size_t n = 0; n < sum.row_bytes / 4; ++n) {
        sum.put(m, n, dot(sum.at<Sum>(m, n), a.at<std::uint32_t>(m, k), b.at<std::uint32_t>(k, n)));
      }
    }
  }
}

void emulate_dpbf16ps(std::size_t sum, std::size_t a, std::size_t b) noexcept {
  emulate_product<float>(sum, a, b, [](float s, std::uint32_t x, std::uint32_t y) {
    const auto as_float = [](std::uint32_t bits) {
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    };
    s += as_float(x << 16) * as_float(y << 16);
    return s + as_float(x & 0xffff0000u) * as_float(y & 0xffff0000u);
  });
}

void emulate_dpbssd(std::size_t sum, std::size_t a, std::size_t b) noexcept {
  emulate_product<std::int32_t>(sum, a, b, [](std::int32_t s, std::uint32_t x, std::uint32_t y) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      s += static_cast<std::int8_t>(x >> shift & 0xff) * static_cast<std::int8_t>(y >> shift & 0xff);
    }
    return s;
  });
}

}  // namespace
}  // namespace koe::kernels

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_loadconfig emulate_loadconfig
#define _tile_release emulate_release
#define _tile_loadd emulate_loadd
#define _tile_stored emulate_stored
#define _tile_zero emulate_zero
#define _tile_dpbf16ps emulate_dpbf16ps
#define _tile_dpbssd emulate_dpbssd
