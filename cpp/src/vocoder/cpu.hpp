// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "vocoder/backend.hpp"

namespace koe::vocoder {

/// The kernels of src/kernels. Throws as koe::Vocoder's constructor does.
std::unique_ptr<Backend> cpu_backend(const Bundle& bundle, const VocoderOptions& options);

}  // namespace koe::vocoder
