// SPDX-License-Identifier: Apache-2.0
// What StylePack::open() does with a file's bytes, on a heap buffer, where AddressSanitizer sees each read outside it (a
// mapped file's last page would hide them): no input may crash, hang or read outside, and what is refused throws koe::Error.
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "koe/error.hpp"
#include "koe/voice_spec.hpp"
#include "voice/npy.hpp"
#include "voice/zip.hpp"

namespace {

void read_array(std::span<const std::byte> bytes) {
  const koe::NpyArray array = koe::read_npy(bytes, "fuzz");
  std::size_t n_bytes = sizeof(float);
  for (const std::size_t n : array.shape) n_bytes *= n;
  if (array.data.size() != n_bytes || array.data.size() > bytes.size()) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(data), reinterpret_cast<const std::byte*>(data) + size);
  try {
    read_array(copy);
  } catch (const koe::Error&) {
  }
  try {
    for (const auto& member : koe::read_zip(copy, "fuzz")) {
      koe::crc32(member.packed);
      try {
        if (!member.deflated) read_array(member.packed);
      } catch (const koe::Error&) {
      }
    }
  } catch (const koe::Error&) {
  }
  try {
    const auto voices = koe::parse_voice_spec({reinterpret_cast<const char*>(data), size});
    if (voices.empty()) __builtin_trap();
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
