// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.hpp"

namespace koe::kernels {

/// Every table that this build has and this processor and system can run, slowest first.
const std::vector<const Table*>& available();

/// The table of this name; "" is the one that `KOE_ISA` names, or else the fastest. Throws koe::Error, with the names of
/// those that this machine has, if it lacks that one.
const Table& select(std::string_view isa);

/// What the processor and the system offer of the features that the tables ask about, for people to read.
std::vector<std::string> processor_features();

}  // namespace koe::kernels
