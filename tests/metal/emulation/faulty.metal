// SPDX-License-Identifier: Apache-2.0
// Kernels with the mistakes that the emulation is to find. Each reverses a threadgroup's values through threadgroup memory;
// `fault` says what it does wrong.
#include "compat.hpp"

enum : uint {
  kFaultNone,
  kFaultNoBarrier,          // reads what other threads write, without a barrier
  kFaultNoSecondBarrier,    // writes again what others still read
  kFaultSimdBarrierOnly,    // a simdgroup's barrier where the threadgroup's is needed
  kFaultReadsBefore,        // reads before the buffer's region
  kFaultReadsBeyond,
  kFaultWritesBeyond,
  kFaultThreadgroupBeyond,
  kFaultUninitialised,      // reads threadgroup memory that nobody wrote
  kFaultLonelyBarrier,      // half of the threads skip a barrier
  kFaultSharedOutput,       // two threads write one place
  kFaultReadsOutput,        // reads what another thread writes to device memory
  kFaultDivergentMatrix,    // not all lanes do the simdgroup operation
  kFaultNoFlag,             // a barrier that orders no memory
  kFaultMatrixNoBarrier,    // a matrix loaded from what the lanes have just written
};

struct FaultArguments {
  uint fault;
  uint rounds;
};

kernel void reversed(constant FaultArguments& a [[buffer(0)]], device_ptr<const float> x [[buffer(1)]],
                     device_ptr<float> out [[buffer(2)]], threadgroup_ptr<float> shared [[threadgroup(0)]], KOE_POSITIONS) {
  const uint threads = 64;
  const uint from = group.x * threads + thread_index;
  float value = x[from + (a.fault == kFaultReadsBeyond ? 1 : 0) - (a.fault == kFaultReadsBefore ? 1 : 0)];
  for (uint round = 0; round < a.rounds; ++round) {
    if (round > 0 && a.fault != kFaultNoSecondBarrier) threadgroup_barrier(mem_flags::mem_threadgroup);
    if (a.fault != kFaultUninitialised || thread_index != 5) {
      shared[thread_index + (a.fault == kFaultThreadgroupBeyond ? 1 : 0)] = value;
    }
    if (a.fault == kFaultSimdBarrierOnly) {
      simdgroup_barrier(mem_flags::mem_threadgroup);
    } else if (a.fault == kFaultNoFlag) {
      threadgroup_barrier(mem_flags::mem_none);
    } else if (a.fault == kFaultLonelyBarrier) {
      if (thread_index < threads / 2) threadgroup_barrier(mem_flags::mem_threadgroup);
    } else if (a.fault != kFaultNoBarrier && a.fault != kFaultMatrixNoBarrier) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (a.fault == kFaultMatrixNoBarrier || (a.fault == kFaultDivergentMatrix && lane < 16)) {
      simdgroup_matrix<float, 8, 8> m;
      simdgroup_load(m, shared, 8);
    }
    value = shared[threads - 1 - thread_index];
  }
  if (a.fault == kFaultReadsOutput) value += out[group.x * threads + (thread_index ^ 1)];
  if (a.fault == kFaultSharedOutput) out[group.x * threads + thread_index / 2] = value;
  out[from + (a.fault == kFaultWritesBeyond ? 1 : 0)] = value;
}
