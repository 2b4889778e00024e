// SPDX-License-Identifier: Apache-2.0
// The AMX kernels on emulated tiles, under another name.
#define KOE_TILE_EMULATION "tile_emulation.hpp"
#define amx amx_emulated
#include "kernels/amx.cpp"
