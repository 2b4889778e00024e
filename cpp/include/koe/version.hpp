// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "koe/export.hpp"

namespace koe {

/// The library's version, "major.minor.patch".
KOE_API const char* version() noexcept;

}  // namespace koe
