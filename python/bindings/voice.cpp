// SPDX-License-Identifier: Apache-2.0
#include "bindings.hpp"

namespace koe::bindings {

void bind_voice(pybind11::module_&) {}

}  // namespace koe::bindings
