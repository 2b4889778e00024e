// SPDX-License-Identifier: Apache-2.0
#include "kernels/processor.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
#endif
#if defined(__APPLE__) && defined(__aarch64__)
#include <sys/sysctl.h>
#endif

#include <cstddef>
#include <cstdint>

namespace koe::kernels {
namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Leaf {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
};

Leaf cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Leaf r;
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<std::uint32_t>(out[0]), static_cast<std::uint32_t>(out[1]), static_cast<std::uint32_t>(out[2]),
       static_cast<std::uint32_t>(out[3])};
#else
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

std::uint64_t xcr0() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

constexpr bool bit(std::uint32_t word, int n) { return ((word >> n) & 1u) != 0; }

// Linux hands out the 8 KiB of tile state only on request (arch_prctl ARCH_REQ_XCOMP_PERM, component 18); the first tile
// instruction of a process without it is a SIGILL.
bool request_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Processor detect() {
  Processor p;
  const std::uint32_t last = cpuid(0).eax;
  const Leaf one = cpuid(1);
  if (last < 7 || !bit(one.ecx, 27)) return p;  // no OSXSAVE: the system keeps no wide registers
  const std::uint64_t kept = xcr0();
  const bool ymm = (kept & 0x6) == 0x6;
  const bool zmm = (kept & 0xe6) == 0xe6;
  const bool tiles = (kept & 0x60000) == 0x60000;
  const Leaf seven = cpuid(7);
  const Leaf more = seven.eax >= 1 ? cpuid(7, 1) : Leaf{};
  p.avx2 = ymm && bit(one.ecx, 12) && bit(one.ecx, 28) && bit(seven.ebx, 5);
  p.avx_vnni = p.avx2 && bit(more.eax, 4);
  p.avx512 = p.avx2 && zmm && bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 30) && bit(seven.ebx, 31);
  p.avx512_vnni = p.avx512 && bit(seven.ecx, 11);
  p.avx512_bf16 = p.avx512_vnni && bit(more.eax, 5);
  p.amx = p.avx512_bf16 && tiles && bit(seven.edx, 22) && bit(seven.edx, 24) && bit(seven.edx, 25) && request_tiles();
  return p;
}

#elif defined(__aarch64__) || defined(_M_ARM64)

Processor detect() {
  Processor p;
  p.neon = true;
#if defined(__linux__)
  constexpr unsigned long kAsimdDp = 1ul << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kI8mm = 1ul << 13;     // HWCAP2_I8MM
  constexpr unsigned long kBf16 = 1ul << 14;     // HWCAP2_BF16
  p.neon_dot = (getauxval(AT_HWCAP) & kAsimdDp) != 0;
  p.neon_i8mm = (getauxval(AT_HWCAP2) & kI8mm) != 0;
  p.neon_bf16 = (getauxval(AT_HWCAP2) & kBf16) != 0;
#elif defined(__APPLE__)
  const auto has = [](const char* name) {
    int value = 0;
    std::size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  p.neon_dot = has("hw.optional.arm.FEAT_DotProd");
  p.neon_i8mm = has("hw.optional.arm.FEAT_I8MM");
  p.neon_bf16 = has("hw.optional.arm.FEAT_BF16");
#endif
  return p;
}

#else

Processor detect() { return {}; }

#endif

}  // namespace

const Processor& processor() {
  static const Processor p = detect();
  return p;
}

}  // namespace koe::kernels
