// SPDX-License-Identifier: Apache-2.0
// Whatever bytes come, parsing a GGUF file gives tensors that lie inside them, or koe::Error. Start it with a small bundle
// without its 16-byte trailer as the corpus; the checksum would keep the fuzzer out.
#include <cstddef>
#include <cstdint>
#include <span>

#include "koe/error.hpp"
#include "model/gguf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto contents = koe::model::parse_gguf(std::as_bytes(std::span(data, size)));
    unsigned sum = 0;
    for (const koe::Tensor& tensor : contents.tensors)
      for (const std::byte value : tensor.data) sum += std::to_integer<unsigned>(value);
    volatile unsigned kept = sum;  // or the reads would be optimised away
    static_cast<void>(kept);
  } catch (const koe::Error&) {
  }
  return 0;
}
