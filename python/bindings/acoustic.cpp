// SPDX-License-Identifier: Apache-2.0
#include "koe/acoustic_model.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <pybind11/stl/filesystem.h>

#include "bindings.hpp"

namespace koe::bindings {
namespace {

namespace py = pybind11;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Ids = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

template <typename T>
py::array_t<T> to_numpy(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* owned = new std::vector<T>(std::move(values));
  const py::capsule owner(owned, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(std::move(shape), owned->data(), owner);
}

py::tuple run(const AcousticModel& self, const Ids& ids, const Floats& style, float speed) {
  AcousticFrames frames;
  {
    const std::span<const std::int64_t> tokens(ids.data(), static_cast<std::size_t>(ids.size()));
    const std::span<const float> values(style.data(), static_cast<std::size_t>(style.size()));
    const py::gil_scoped_release release;
    frames = self.run(tokens, values, speed);
  }
  const auto n_frames = static_cast<py::ssize_t>(frames.f0.size() / 2);
  const auto n_tokens = static_cast<py::ssize_t>(frames.durations.size());
  const auto channels = n_frames ? static_cast<py::ssize_t>(frames.asr.size()) / n_frames : 0;
  return py::make_tuple(to_numpy(std::move(frames.asr), {channels, n_frames}), to_numpy(std::move(frames.f0), {2 * n_frames}),
                        to_numpy(std::move(frames.n), {2 * n_frames}), to_numpy(std::move(frames.durations), {n_tokens}));
}

}  // namespace

void bind_acoustic(py::module_& m) {
  py::class_<AcousticModel>(m, "AcousticModel", R"(The bundle's acoustic model in an ONNX Runtime library that is loaded at run time.

It is for programs without the Python package onnxruntime. Thread-safe.

Args:
    bundle: the prepared model; not needed afterwards.
    threads: of one run; 0 for what ONNX Runtime thinks best.
    library: ONNX Runtime's shared library, 1.11 or newer; None takes KOE_ONNXRUNTIME, then the usual names.

Raises:
    Error: there is no such library, it is too old, or it refuses the model.)")
      .def(py::init([](const Bundle& bundle, std::size_t threads, const std::optional<std::filesystem::path>& library) {
             const OnnxRuntimeOptions options{library.value_or(""), threads};
             const py::gil_scoped_release release;
             return open_onnx_runtime(bundle, options);
           }),
           py::arg("bundle"), py::arg("threads") = 0, py::arg("library") = py::none())
      .def("run", &run, py::arg("ids"), py::arg("style"), py::arg("speed") = 1.0F, R"(Runs one chunk.

Args:
    ids: token ids without the pads, [L] int64, 1 to MAX_TOKENS.
    style: [256] float32, of which the second half counts here.
    speed: durations are divided by it.

Returns:
    asr [512, T], f0 [2T] in Hz, n [2T], all float32, and the frames of each token and pad, [L + 2] int64.

Raises:
    Error: the runtime failed, or gave values that are not finite.
    ValueError: the inputs don't fit.)");
}

}  // namespace koe::bindings
