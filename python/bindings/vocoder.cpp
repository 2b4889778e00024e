// SPDX-License-Identifier: Apache-2.0
#include "koe/vocoder.hpp"

#include <algorithm>

#include "bindings.hpp"
#include "koe/error.hpp"

namespace koe::bindings {
namespace {

namespace py = pybind11;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

std::span<const float> span(const Floats& a) { return {a.data(), static_cast<std::size_t>(a.size())}; }

py::array_t<float> to_numpy(std::vector<float>&& values, std::vector<py::ssize_t> shape) {
  auto* owned = new std::vector<float>(std::move(values));
  const py::capsule owner(owned, [](void* p) { delete static_cast<std::vector<float>*>(p); });
  return py::array_t<float>(std::move(shape), owned->data(), owner);
}

py::array_t<float> to_numpy(std::vector<float>&& values) {
  const auto n = static_cast<py::ssize_t>(values.size());
  return to_numpy(std::move(values), {n});
}

py::array_t<float> to_numpy(Vocoder::Array&& a) {
  const auto rows = static_cast<py::ssize_t>(a.rows);
  const auto columns = static_cast<py::ssize_t>(a.columns);
  return to_numpy(std::move(a.values), {rows, columns});
}

Vocoder::Array matrix(const Floats& a, const char* name) {
  if (a.ndim() != 2) throw std::invalid_argument(std::string(name) + " is not a matrix [channels, frames]");
  return {std::vector<float>(a.data(), a.data() + a.size()), static_cast<std::size_t>(a.shape(0)),
          static_cast<std::size_t>(a.shape(1))};
}

}  // namespace

void bind_device_error(py::module_& m) {
  static PyObject* type = PyErr_NewException("koe._core.DeviceError", m.attr("Error").ptr(), nullptr);
  m.attr("DeviceError") = py::handle(type);
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kDevice) throw;
      PyErr_SetString(type, error.what());
    }
  });
}

void bind_vocoder(py::module_& m) {
  m.def("available_isas", &available_isas, "Names of the kernel tables that this machine can run, slowest first.");
  m.def("processor_features", &processor_features, "What the processor and the system offer of the features koe uses.");

  m.def(
      "metal_device",
      [] {
        std::string reason;
        const std::string name = metal_device(&reason);
        return py::make_tuple(name.empty() ? py::object(py::none()) : py::object(py::str(name)), reason);
      },
      "The Apple GPU's name or None, and why there is none.");

  py::class_<Vocoder>(m, "Vocoder", "Kokoro's decoder: encoded phonemes, pitch and energy to 24 kHz samples.")
      .def(py::init([](const Bundle& bundle, std::size_t threads, const std::string& isa, const std::string& precision,
                       std::optional<std::uint64_t> noise_seed, const std::string& device) {
             const VocoderOptions options{threads, isa, parse_precision(precision), noise_seed, parse_device(device)};
             const py::gil_scoped_release release;
             return Vocoder(bundle, options);
           }),
           py::arg("bundle"), py::arg("threads") = 0, py::arg("isa") = "", py::arg("precision") = "auto",
           py::arg("noise_seed") = py::none(), py::arg("device") = "cpu")
      .def_property_readonly("asr_channels", &Vocoder::asr_channels)
      .def_property_readonly("style_size", &Vocoder::style_size)
      .def_property_readonly("threads", &Vocoder::threads)
      .def_property_readonly("isa", &Vocoder::isa)
      .def_property_readonly("device", &Vocoder::device)
      .def_property_readonly("precision", [](const Vocoder& v) { return name_of(v.precision()); })
      .def(
          "synthesize",
          [](Vocoder& v, const Floats& asr, const Floats& f0, const Floats& n, const Floats& style) {
            std::vector<float> samples;
            {
              const py::gil_scoped_release release;
              samples = v.synthesize(span(asr), span(f0), span(n), span(style));
            }
            return to_numpy(std::move(samples));
          },
          py::arg("asr"), py::arg("f0"), py::arg("n"), py::arg("style"),
          "asr [512, T], f0 [2T] in Hz, n [2T], style [128] to samples [600 T].")
      .def(
          "decode",
          [](Vocoder& v, const Floats& asr, const Floats& f0, const Floats& n, const Floats& style) {
            Vocoder::Array x;
            {
              const py::gil_scoped_release release;
              x = v.decode(span(asr), span(f0), span(n), span(style));
            }
            return to_numpy(std::move(x));
          },
          py::arg("asr"), py::arg("f0"), py::arg("n"), py::arg("style"), "The decoder blocks: features [512, 2T].")
      .def(
          "source",
          [](Vocoder& v, const Floats& f0) {
            std::vector<float> signal;
            {
              const py::gil_scoped_release release;
              signal = v.source(span(f0));
            }
            return to_numpy(std::move(signal));
          },
          py::arg("f0"), "f0 [2T] to the harmonic source's signal [600 T].")
      .def(
          "source_spectrum",
          [](Vocoder& v, const Floats& signal) {
            Vocoder::Array har;
            {
              const py::gil_scoped_release release;
              har = v.source_spectrum(span(signal));
            }
            return to_numpy(std::move(har));
          },
          py::arg("signal"), "The source's signal [600 T] to magnitudes and phases [22, 120 T + 1].")
      .def(
          "generator_level",
          [](Vocoder& v, std::size_t level, const Floats& x, const Floats& har, const Floats& style) {
            const Vocoder::Array in = matrix(x, "x");
            const Vocoder::Array source = matrix(har, "har");
            Vocoder::Array out;
            {
              const py::gil_scoped_release release;
              out = v.generator_level(level, in, source, span(style));
            }
            return to_numpy(std::move(out));
          },
          py::arg("level"), py::arg("x"), py::arg("har"), py::arg("style"),
          "One upsampling level: the mean of its residual blocks.")
      .def(
          "spectrum",
          [](Vocoder& v, const Floats& x) {
            const Vocoder::Array in = matrix(x, "x");
            Vocoder::Array out;
            {
              const py::gil_scoped_release release;
              out = v.spectrum(in);
            }
            return to_numpy(std::move(out));
          },
          py::arg("x"), "x [128, 120 T + 1] to magnitudes (rows 0–10) and phases (rows 11–21).")
      .def(
          "istft",
          [](Vocoder& v, const Floats& spectrum) {
            const Vocoder::Array in = matrix(spectrum, "spectrum");
            std::vector<float> samples;
            {
              const py::gil_scoped_release release;
              samples = v.istft(in);
            }
            return to_numpy(std::move(samples));
          },
          py::arg("spectrum"), "Magnitudes and phases [22, 120 T + 1] to samples [600 T].");
}

}  // namespace koe::bindings
