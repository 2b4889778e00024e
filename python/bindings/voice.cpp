// SPDX-License-Identifier: Apache-2.0
#include "bindings.hpp"

#include <pybind11/stl/filesystem.h>

#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "koe/error.hpp"
#include "koe/style.hpp"
#include "koe/voice_spec.hpp"

namespace py = pybind11;

namespace koe::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

/// A read-only array on memory that `owner` keeps alive.
py::array_t<float> view(std::span<const float> values, std::vector<py::ssize_t> shape, py::handle owner) {
  py::array_t<float> array(std::move(shape), values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

py::array_t<float> owned(const std::vector<float>& values) {
  return py::array_t<float>(static_cast<py::ssize_t>(values.size()), values.data());
}

/// Deflated members go through Python's zlib, so that the library itself needs none.
std::vector<std::byte> inflate(std::span<const std::byte> packed, std::size_t size) {
  const py::gil_scoped_acquire gil;
  const py::module_ zlib = py::module_::import("zlib");
  const auto source = py::memoryview::from_memory(packed.data(), static_cast<py::ssize_t>(packed.size()));
  py::bytes result;
  try {
    // One byte more than promised, so that a member that is too long shows.
    result = zlib.attr("decompressobj")(-15).attr("decompress")(source, size + 1);
  } catch (py::error_already_set& error) {
    if (!error.matches(zlib.attr("error"))) throw;
    throw Error("damaged voice file: a deflated member does not unpack");
  }
  const std::string_view text = result;
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

StylePack from_array(const FloatArray& array) {
  const bool flat = array.ndim() == 2 && array.shape(1) == kStyleSize;
  const bool v019 = array.ndim() == 3 && array.shape(1) == 1 && array.shape(2) == kStyleSize;
  if (!flat && !v019) throw std::invalid_argument("a style pack is an array of shape [rows, 256] or [rows, 1, 256]");
  return StylePack::from_values({array.data(), array.data() + array.size()});
}

std::span<const float> as_style(const FloatArray& array) {
  if (array.ndim() != 1) throw std::invalid_argument("a style is an array of one dimension");
  return {array.data(), static_cast<std::size_t>(array.size())};
}

}  // namespace

void bind_voice(py::module_& m) {
  m.attr("STYLE_SIZE") = kStyleSize;

  py::class_<StylePack>(m, "StylePack")
      .def_static(
          "open",
          [](const std::filesystem::path& path, const std::string& member) { return StylePack::open(path, member, inflate); },
          py::arg("path"), py::arg("member") = "", py::call_guard<py::gil_scoped_release>())
      .def_static("from_array", &from_array, py::arg("array"))
      .def_static("names", &StylePack::names, py::arg("path"), py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("n_rows", &StylePack::n_rows)
      .def_property_readonly("array",
                             [](const py::object& self) {
                               const auto& pack = self.cast<const StylePack&>();
                               return view(pack.values(), {static_cast<py::ssize_t>(pack.n_rows()), kStyleSize}, self);
                             })
      .def(
          "row",
          [](const py::object& self, std::size_t index) {
            return view(self.cast<const StylePack&>().row(index), {kStyleSize}, self);
          },
          py::arg("index"));

  m.def(
      "style_row",
      [](std::size_t n_phonemes, std::size_t n_tokens, std::string_view rule, std::size_t n_rows) {
        return style_row_index(n_phonemes, n_tokens, style_row_rule(rule), n_rows);
      },
      py::arg("n_phonemes"), py::arg("n_tokens"), py::arg("rule") = "phonemes_minus_one", py::arg("n_rows") = 510);
  m.def(
      "mix_styles",
      [](const std::vector<StylePack>& packs, const std::vector<double>& weights) { return mix(packs, weights); },
      py::arg("packs"), py::arg("weights"), py::call_guard<py::gil_scoped_release>());
  m.def("lerp_styles", py::overload_cast<const StylePack&, const StylePack&, double>(&lerp), py::arg("a"), py::arg("b"),
        py::arg("t"), py::call_guard<py::gil_scoped_release>());
  m.def(
      "lerp_styles",
      [](const FloatArray& a, const FloatArray& b, double t) { return owned(lerp(as_style(a), as_style(b), t)); },
      py::arg("a"), py::arg("b"), py::arg("t"));
  m.def("slerp_styles", py::overload_cast<const StylePack&, const StylePack&, double>(&slerp), py::arg("a"), py::arg("b"),
        py::arg("t"), py::call_guard<py::gil_scoped_release>());
  m.def(
      "slerp_styles",
      [](const FloatArray& a, const FloatArray& b, double t) { return owned(slerp(as_style(a), as_style(b), t)); },
      py::arg("a"), py::arg("b"), py::arg("t"));

  m.def(
      "parse_voice_spec",
      [](std::string_view spec) {
        std::vector<std::pair<std::string, double>> voices;
        for (auto& voice : parse_voice_spec(spec)) voices.emplace_back(std::move(voice.name), voice.weight);
        return voices;
      },
      py::arg("spec"));
  m.def(
      "nearest_names",
      [](std::string_view name, const std::vector<std::string>& candidates, std::size_t n) {
        return nearest_names(name, candidates, n);
      },
      py::arg("name"), py::arg("candidates"), py::arg("n") = 3);
}

}  // namespace koe::bindings
