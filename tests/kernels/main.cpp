// SPDX-License-Identifier: Apache-2.0
// Holds every kernel of every table that this machine can run against the scalar table, and that against plain formulas.
//
//   kernel_tests                                    everything, one line a table and function
//   kernel_tests --list                             the tables and functions that there are
//   kernel_tests --table avx2 --function int8.conv  one of them
//   kernel_tests --seed 1 --products 1000000        other data; smaller cases, for an emulator
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/dispatch.hpp"
#include "kernels/processor.hpp"
#include "memory.hpp"
#include "tests.hpp"

namespace koe::kernels {
const Table* avxvnni_evex() noexcept;
const Table* amx_emulated() noexcept;
}  // namespace koe::kernels

namespace koe::kernel_tests {
namespace {

using kernels::Precision;
using kernels::Table;

struct Function {
  std::string name;
  std::size_t (*test)(const Run& run, Precision precision);
  Precision precision;
};

std::vector<Function> functions_of(const Table& table) {
  std::vector<Function> functions;
  const auto add = [&](Precision precision, const char* name) {
    if (product(table, precision).conv == nullptr) return;
    functions.push_back({std::string(name) + ".stage", test_stage, precision});
    functions.push_back({std::string(name) + ".conv", test_conv, precision});
  };
  add(Precision::float32, "float32");
  add(Precision::bfloat16, "bfloat16");
  add(Precision::int8, "int8");
  functions.push_back({"sums", [](const Run& run, Precision) { return test_sums(run); }, Precision::float32});
  functions.push_back({"expand", [](const Run& run, Precision) { return test_expand(run); }, Precision::float32});
  if (table.filter_in != nullptr) {
    functions.push_back({"filter_in", [](const Run& run, Precision) { return test_filter_in(run); }, Precision::float32});
    functions.push_back({"filter_weights", [](const Run& run, Precision) { return test_filter_weights(run); }, Precision::float32});
    functions.push_back({"filter_out", [](const Run& run, Precision) { return test_filter_out(run); }, Precision::float32});
  }
  return functions;
}

std::vector<const Table*> tables() {
  std::vector<const Table*> all = kernels::available();
#if defined(KOE_AVXVNNI_EVEX)
  // The AVX-VNNI kernels in AVX-512's encoding of the same instruction, where the processor has only that one.
  if (kernels::processor().avx512_vnni && !kernels::processor().avx_vnni) all.push_back(kernels::avxvnni_evex());
#endif
#if defined(KOE_AMX_EMULATED)
  if (kernels::processor().avx512_bf16 && !kernels::processor().amx) all.push_back(kernels::amx_emulated());
#endif
  return all;
}

struct Options {
  std::string_view table;
  std::string_view function;
  std::uint64_t seed = 20240817;
  std::size_t products = 12'000'000;
  bool list = false;
};

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--list") {
      options.list = true;
      continue;
    }
    if (++i == argc) return false;
    const std::string_view value = argv[i];
    if (name == "--table") options.table = value;
    else if (name == "--function") options.function = value;
    else if (name == "--seed" ? !parse(value, options.seed) : name != "--products" || !parse(value, options.products)) return false;
  }
  return true;
}

bool run(const Table& table, const Function& function, const Options& options) {
  std::string name = std::string(table.name) + " " + function.name;
  set_case(name);
  try {
    const Run settings{table, *kernels::available().front(), options.seed, options.products};
    std::printf("%s: %zu cases\n", name.c_str(), function.test(settings, function.precision));
    return true;
  } catch (const Failure& failure) {
    std::printf("%s: FAILED, seed %llu: %s: %s\n", name.c_str(), static_cast<unsigned long long>(options.seed), current_case(),
                failure.what());
    return false;
  }
}

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: kernel_tests [--list] [--table NAME] [--function NAME] [--seed N] [--products N]\n");
    return 2;
  }
  report_faults();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::size_t ran = 0;
  bool good = true;
  for (const Table* table : tables()) {
    if (product(*table, table->fastest).conv == nullptr) {
      std::printf("%s: the product that it calls its fastest is not there\n", table->name);
      good = false;
    }
    for (const Function& function : functions_of(*table)) {
      if (!options.table.empty() && options.table != table->name) continue;
      if (!options.function.empty() && options.function != function.name) continue;
      ++ran;
      if (options.list) {
        std::printf("%s %s\n", table->name, function.name.c_str());
      } else {
        good = run(*table, function, options) && good;
      }
    }
  }
  if (ran == 0) {
    std::fprintf(stderr, "this machine has no such table, or the table no such function\n");
    return 2;
  }
  return good ? 0 : 1;
}

}  // namespace

const kernels::Product& product(const Table& table, Precision precision) noexcept {
  switch (precision) {
    case Precision::bfloat16: return table.bfloat16;
    case Precision::int8: return table.int8;
    case Precision::float32: break;
  }
  return table.float32;
}

}  // namespace koe::kernel_tests

int main(int argc, char** argv) {
  try {
    return koe::kernel_tests::main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
