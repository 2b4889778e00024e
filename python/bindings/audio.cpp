// SPDX-License-Identifier: Apache-2.0
#include "bindings.hpp"

#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "koe/stitch.hpp"
#include "koe/wav.hpp"

namespace py = pybind11;

namespace koe::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

std::span<const float> as_samples(const FloatArray& array) {
  if (array.ndim() != 1) {
    throw std::invalid_argument("samples are an array of one dimension, not " + std::to_string(array.ndim()));
  }
  return {array.data(), static_cast<std::size_t>(array.size())};
}

/// Hands the memory over to NumPy without a copy.
py::array_t<float> to_array(std::vector<float>&& samples) {
  auto* owned = new std::vector<float>(std::move(samples));
  const py::capsule owner(owned, [](void* p) { delete static_cast<std::vector<float>*>(p); });
  return py::array_t<float>(static_cast<py::ssize_t>(owned->size()), owned->data(), owner);
}

WavFormat wav_format(std::string_view name) {
  if (name == "pcm16") return WavFormat::kPcm16;
  if (name == "float32") return WavFormat::kFloat32;
  throw std::invalid_argument("WAV format '" + std::string(name) + "' is neither 'pcm16' nor 'float32'");
}

}  // namespace

void bind_audio(py::module_& m) {
  py::class_<StitchOptions>(m, "StitchOptions")
      .def(py::init([](double sample_rate_hz, double silence_s, double fade_s, bool trim, double threshold_db,
                       double floor_db, double margin_s) {
             const StitchOptions options{sample_rate_hz, silence_s, fade_s, trim, threshold_db, floor_db, margin_s};
             return Stitcher(options).options();  // which checks them
           }),
           py::kw_only(), py::arg("sample_rate_hz") = StitchOptions{}.sample_rate_hz,
           py::arg("silence_s") = StitchOptions{}.silence_s, py::arg("fade_s") = StitchOptions{}.fade_s,
           py::arg("trim") = StitchOptions{}.trim, py::arg("threshold_db") = StitchOptions{}.threshold_db,
           py::arg("floor_db") = StitchOptions{}.floor_db, py::arg("margin_s") = StitchOptions{}.margin_s)
      .def_readonly("sample_rate_hz", &StitchOptions::sample_rate_hz)
      .def_readonly("silence_s", &StitchOptions::silence_s)
      .def_readonly("fade_s", &StitchOptions::fade_s)
      .def_readonly("trim", &StitchOptions::trim)
      .def_readonly("threshold_db", &StitchOptions::threshold_db)
      .def_readonly("floor_db", &StitchOptions::floor_db)
      .def_readonly("margin_s", &StitchOptions::margin_s);

  py::class_<Placement>(m, "Placement")
      .def_readonly("offset", &Placement::offset)
      .def_readonly("n_samples", &Placement::n_samples)
      .def_readonly("trimmed_start", &Placement::trimmed_start)
      .def_readonly("trimmed_end", &Placement::trimmed_end)
      .def("position", &Placement::position, py::arg("sample"))
      .def("__eq__", [](const Placement& a, const Placement& b) { return a == b; }, py::is_operator())
      .def("__repr__", [](const Placement& p) {
        return "Placement(offset=" + std::to_string(p.offset) + ", n_samples=" + std::to_string(p.n_samples) +
               ", trimmed_start=" + std::to_string(p.trimmed_start) + ", trimmed_end=" + std::to_string(p.trimmed_end) + ")";
      });

  m.def(
      "find_speech",
      [](const FloatArray& samples, const StitchOptions& options) {
        const auto input = as_samples(samples);
        const py::gil_scoped_release release;
        const Span span = find_speech(input, options);
        return std::pair(span.begin, span.end);
      },
      py::arg("samples"), py::arg("options") = StitchOptions{});

  py::class_<Stitcher>(m, "Stitcher")
      .def(py::init<const StitchOptions&>(), py::arg("options") = StitchOptions{})
      .def(
          "push",
          [](Stitcher& self, const FloatArray& chunk, std::optional<double> pause_before_s) {
            StitchedPiece piece = self.push(as_samples(chunk), pause_before_s);
            return std::pair(to_array(std::move(piece.samples)), piece.placement);
          },
          py::arg("chunk"), py::arg("pause_before_s") = py::none())
      .def("finish", [](Stitcher& self) { return to_array(self.finish()); })
      .def_property_readonly("n_samples", &Stitcher::n_samples)
      .def_property_readonly("options", &Stitcher::options);

  m.def(
      "stitch",
      [](const std::vector<FloatArray>& chunks, const StitchOptions& options,
         const std::optional<std::vector<std::optional<double>>>& pauses_before_s) {
        std::vector<std::span<const float>> spans;
        for (const auto& chunk : chunks) spans.push_back(as_samples(chunk));
        if (pauses_before_s && pauses_before_s->size() != chunks.size()) {
          throw std::invalid_argument("stitching: " + std::to_string(chunks.size()) + " chunks with " +
                                      std::to_string(pauses_before_s->size()) + " pauses");
        }
        Stitched whole;
        {
          const py::gil_scoped_release release;
          whole = pauses_before_s ? stitch(spans, options, *pauses_before_s) : stitch(spans, options);
        }
        return std::pair(to_array(std::move(whole.samples)), std::move(whole.placements));
      },
      py::arg("chunks"), py::arg("options") = StitchOptions{}, py::arg("pauses_before_s") = py::none());

  m.def(
      "encode_wav",
      [](const FloatArray& samples, std::uint32_t sample_rate_hz, std::string_view format) {
        const auto bytes = encode_wav(as_samples(samples), sample_rate_hz, wav_format(format));
        return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      py::arg("samples"), py::arg("sample_rate_hz") = 24'000, py::arg("format") = "pcm16");
  m.def(
      "write_wav",
      [](const std::filesystem::path& path, const FloatArray& samples, std::uint32_t sample_rate_hz, std::string_view format) {
        const auto input = as_samples(samples);
        const WavFormat wanted = wav_format(format);
        const py::gil_scoped_release release;
        write_wav(path, input, sample_rate_hz, wanted);
      },
      py::arg("path"), py::arg("samples"), py::arg("sample_rate_hz") = 24'000, py::arg("format") = "pcm16");
}

}  // namespace koe::bindings
