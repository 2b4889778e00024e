// SPDX-License-Identifier: Apache-2.0
// The AVX-VNNI kernels with their one new instruction in AVX-512's encoding, under another name.
#define avxvnni avxvnni_evex
#include "kernels/avxvnni.cpp"
