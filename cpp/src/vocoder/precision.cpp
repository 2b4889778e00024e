// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <stdexcept>
#include <string>

#include "koe/vocoder.hpp"

namespace koe {
namespace {

constexpr std::array kPrecisions{Precision::kAuto, Precision::kFloat32, Precision::kFloat16, Precision::kBfloat16,
                                 Precision::kInt8};

}  // namespace

Precision parse_precision(std::string_view name) {
  for (const Precision p : kPrecisions) {
    if (name == name_of(p)) return p;
  }
  throw std::invalid_argument("precision '" + std::string(name) + "' is none of auto, float32, float16, bfloat16, int8");
}

const char* name_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::kAuto: return "auto";
    case Precision::kFloat32: return "float32";
    case Precision::kFloat16: return "float16";
    case Precision::kBfloat16: return "bfloat16";
    case Precision::kInt8: return "int8";
  }
  return "";
}

}  // namespace koe
