// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "metal/device.hpp"
#include "vocoder/backend.hpp"

namespace koe::metal {

/// A vocoder on the device that `open` makes of the packed weights. Throws koe::Error if the bundle's layers are not
/// Kokoro's, if `open` does, or for a precision that Metal has no kernels for.
std::unique_ptr<vocoder::Backend> metal_backend(const Bundle& bundle, const VocoderOptions& options,
                                                const std::function<std::unique_ptr<Device>(std::span<const std::byte>)>& open);

}  // namespace koe::metal
