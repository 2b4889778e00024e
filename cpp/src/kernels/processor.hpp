// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace koe::kernels {

/// What a program may use: the processor has it and the operating system keeps its registers.
struct Processor {
  bool avx2 = false;        ///< AVX2 and FMA
  bool avx_vnni = false;    ///< VPDPBUSD on 256 bits, VEX-encoded
  bool avx512 = false;      ///< F, BW, DQ, VL
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx = false;         ///< tiles with bfloat16 and int8 products, granted to this process
  bool neon = false;
  bool neon_dot = false;    ///< SDOT
  bool neon_i8mm = false;
  bool neon_bf16 = false;   ///< BFDOT, BFMMLA
};

/// Asked once; thread-safe.
const Processor& processor();

}  // namespace koe::kernels
