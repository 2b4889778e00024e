// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "machine.hpp"

namespace koe::emulation {

/// Runs the kernel that `launch` names: one of koe's, or one of the faulty ones that the tests prove the machine with.
/// Marks the allocations that the kernel may write to. Throws Fault.
void run_kernel(Machine& machine, Launch& launch);

}  // namespace koe::emulation
