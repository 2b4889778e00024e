// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "koe/export.hpp"

namespace koe {

enum class WavFormat {
  kPcm16,    ///< round(32767·x), ties away from zero, saturated: |x| above 1 is clipped
  kFloat32,  ///< the samples as they are
};

/// A mono RIFF/WAVE file in memory. Throws koe::Error for NaN or infinity; std::invalid_argument for a sample rate of 0 or a
/// file above RIFF's 4 GiB.
KOE_API std::vector<std::byte> encode_wav(std::span<const float> samples, std::uint32_t sample_rate_hz,
                                          WavFormat format = WavFormat::kPcm16);

/// Writes that file as `path`.part and renames it, so that a failure leaves nothing half-written behind; a pipe or a device is
/// written to as it is. Throws as encode_wav() does, and koe::Error where it can't be written.
KOE_API void write_wav(const std::filesystem::path& path, std::span<const float> samples, std::uint32_t sample_rate_hz,
                       WavFormat format = WavFormat::kPcm16);

}  // namespace koe
