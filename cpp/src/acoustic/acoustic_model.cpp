// SPDX-License-Identifier: Apache-2.0
#include "koe/acoustic_model.hpp"

namespace koe {

AcousticModel::~AcousticModel() = default;

}  // namespace koe
