// SPDX-License-Identifier: Apache-2.0
#include "kernels.hpp"

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "emulation.hpp"
#include "metal/arguments.hpp"

// GCC does not know Metal's attributes, and the kernels' signatures are full of them.
#pragma GCC diagnostic ignored "-Wattributes"
#pragma GCC diagnostic ignored "-Wunused-parameter"

namespace koe::metal {
using namespace koe::emulation;
#include "metal/kernels/conv.metal"
#include "metal/kernels/decoder.metal"
#include "metal/kernels/norm.metal"
#include "metal/kernels/source.metal"
#include "metal/kernels/stft.metal"
#include "faulty.metal"
}  // namespace koe::metal
#undef kernel
#undef thread
#undef constant

namespace koe::emulation {
namespace {

// A kernel's parameter from what was bound, by its type: buffers in their order, then threadgroup memory and positions.
template <class T>
struct Parameter;

template <class T>
struct Parameter<const T&> {
  static const T& get(const Launch& launch, std::size_t&) {
    if (launch.argument_bytes != sizeof(T)) throw Fault("kernel " + launch.kernel + ": arguments of another size");
    return *static_cast<const T*>(launch.arguments);
  }
  static void mark(Launch&, std::size_t&) {}
};

template <class T>
struct Parameter<device_ptr<T>> {
  static device_ptr<T> get(const Launch& launch, std::size_t& next) { return {{&launch.bindings[next++]}, 0}; }
  static void mark(Launch& launch, std::size_t& next) {
    if (next >= launch.bindings.size()) throw Fault("kernel " + launch.kernel + ": too few buffers");
    const Binding& binding = launch.bindings[next++];
    if (std::is_const_v<T> || binding.bytes == 0) return;
    for (Binding& other : launch.bindings) other.is_tracked |= other.allocation == binding.allocation;
  }
};

template <class T>
struct Parameter<threadgroup_ptr<T>> {
  static threadgroup_ptr<T> get(const Launch&, std::size_t&) { return {{}, 0}; }
  static void mark(Launch&, std::size_t&) {}
};

template <>
struct Parameter<uint3> {
  static uint3 get(const Launch&, std::size_t&) { return {machine->group_x(), machine->group_y(), 0}; }
  static void mark(Launch&, std::size_t&) {}
};

// thread_index, simd and lane, the three that end every kernel's parameters.
template <class... Args>
auto split(void (*)(Args...)) {
  return std::type_identity<std::tuple<Args...>>{};
}

template <class Tuple, std::size_t... I>
void invoke(auto function, Machine& m, Launch& launch, std::type_identity<Tuple>, std::index_sequence<I...>) {
  for (std::size_t i = 0; i < launch.bindings.size(); ++i) launch.bindings[i].index = i + 1;
  std::size_t marked = 0;
  (Parameter<std::tuple_element_t<I, Tuple>>::mark(launch, marked), ...);
  m.run(launch, [&] {
    std::size_t next = 0;
    const uint thread = machine->thread();
    std::apply([&](auto&&... values) { function(values..., thread, thread / kSimdWidth, thread % kSimdWidth); },
               std::tuple<std::tuple_element_t<I, Tuple>...>{Parameter<std::tuple_element_t<I, Tuple>>::get(launch, next)...});
  });
}

using Run = std::function<void(Machine&, Launch&)>;

template <class Function>
Run runner(Function function) {
  return [function](Machine& m, Launch& launch) {
    using Tuple = typename decltype(split(function))::type;
    invoke(function, m, launch, std::type_identity<Tuple>{}, std::make_index_sequence<std::tuple_size_v<Tuple> - 3>{});
  };
}

}  // namespace

void run_kernel(Machine& m, Launch& launch) {
  static const std::map<std::string, Run> kernels{
      {"decoder_input", runner(&metal::decoder_input)},
      {"style_affine", runner(&metal::style_affine)},
      {"statistics", runner(&metal::statistics)},
      {"fold", runner(&metal::fold)},
      {"conv_half", runner(&metal::conv_half)},
      {"conv_float", runner(&metal::conv_float)},
      {"pool", runner(&metal::pool)},
      {"source", runner(&metal::source)},
      {"stft", runner(&metal::stft)},
      {"istft", runner(&metal::istft)},
      {"reversed", runner(&metal::reversed)},
  };
  const auto found = kernels.find(launch.kernel);
  if (found == kernels.end()) throw Fault("there is no kernel " + launch.kernel);
  found->second(m, launch);
}

}  // namespace koe::emulation
