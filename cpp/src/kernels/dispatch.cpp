// SPDX-License-Identifier: Apache-2.0
#include "kernels/dispatch.hpp"

#include <cstdlib>

#include "kernels/processor.hpp"
#include "koe/error.hpp"

namespace koe::kernels {

const Table* scalar() noexcept;
#if defined(KOE_KERNELS_X86)
const Table* avx2() noexcept;
const Table* avxvnni() noexcept;
const Table* avx512() noexcept;
const Table* avx512vnni() noexcept;
const Table* avx512bf16() noexcept;
#if defined(KOE_KERNELS_AMX)
const Table* amx() noexcept;
#endif
#elif defined(KOE_KERNELS_ARM)
const Table* neon() noexcept;
const Table* neondot() noexcept;
const Table* neonbf16() noexcept;
#endif

const std::vector<const Table*>& available() {
  static const std::vector<const Table*> tables = [] {
    std::vector<const Table*> t{scalar()};
#if defined(KOE_KERNELS_X86)
    const Processor& p = processor();
    if (p.avx2) t.push_back(avx2());
    if (p.avx_vnni) t.push_back(avxvnni());
    if (p.avx512) t.push_back(avx512());
    if (p.avx512_vnni) t.push_back(avx512vnni());
    if (p.avx512_bf16) t.push_back(avx512bf16());
#if defined(KOE_KERNELS_AMX)
    if (p.amx) t.push_back(amx());
#endif
#elif defined(KOE_KERNELS_ARM)
    const Processor& p = processor();
    if (p.neon) t.push_back(neon());
    if (p.neon_dot) t.push_back(neondot());
    if (p.neon_bf16 && p.neon_i8mm) t.push_back(neonbf16());
#endif
    return t;
  }();
  return tables;
}

const Table& select(std::string_view isa) {
  if (isa.empty()) {
    const char* forced = std::getenv("KOE_ISA");
    if (forced == nullptr || *forced == '\0') return *available().back();
    isa = forced;
  }
  std::string names;
  for (const Table* table : available()) {
    if (isa == table->name) return *table;
    names += names.empty() ? "" : ", ";
    names += table->name;
  }
  throw Error("this machine or build has no kernels named '" + std::string(isa) + "'; it has " + names);
}

std::vector<std::string> processor_features() {
  const Processor& p = processor();
  std::vector<std::string> names;
  const auto add = [&](bool has, const char* name) {
    if (has) names.emplace_back(name);
  };
  add(p.avx2, "avx2");
  add(p.avx_vnni, "avx_vnni");
  add(p.avx512, "avx512");
  add(p.avx512_vnni, "avx512_vnni");
  add(p.avx512_bf16, "avx512_bf16");
  add(p.amx, "amx");
  add(p.neon, "neon");
  add(p.neon_dot, "neon_dot");
  add(p.neon_i8mm, "neon_i8mm");
  add(p.neon_bf16, "neon_bf16");
  return names;
}

}  // namespace koe::kernels
