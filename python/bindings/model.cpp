// SPDX-License-Identifier: Apache-2.0
#include "bindings.hpp"

#include <pybind11/stl/filesystem.h>

#include "koe/bundle.hpp"

namespace koe::bindings {
namespace {

namespace py = pybind11;

py::dtype dtype_of(DataType type) {
  switch (type) {
    case DataType::kFloat16: return py::dtype("float16");
    case DataType::kInt8: return py::dtype::of<std::int8_t>();
    case DataType::kInt32: return py::dtype::of<std::int32_t>();
    case DataType::kFloat32: break;
  }
  return py::dtype::of<float>();
}

/// A read-only array over the mapped file; `owner` keeps the bundle alive as long as the array.
py::array view(const py::object& owner, const py::dtype& dtype, std::vector<py::ssize_t> shape,
               std::span<const std::byte> data) {
  py::array array(dtype, std::move(shape), data.data(), owner);
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

py::array_t<float> dequantized(const Bundle& bundle, const std::string& name) {
  std::vector<float> values;
  std::vector<py::ssize_t> shape;
  {
    const py::gil_scoped_release release;
    const Tensor& tensor = bundle.tensor(name);
    shape.assign(tensor.shape.begin(), tensor.shape.end());
    values = bundle.dequantized(name);
  }
  auto owned = std::make_unique<std::vector<float>>(std::move(values));
  const float* data = owned->data();
  const py::capsule owner(owned.release(), [](void* vector) { delete static_cast<std::vector<float>*>(vector); });
  return py::array_t<float>(std::move(shape), data, owner);
}

struct BufferView {
  explicit BufferView(const py::buffer& buffer) {
    if (PyObject_GetBuffer(buffer.ptr(), &raw, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  }
  ~BufferView() { PyBuffer_Release(&raw); }
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;
  Py_buffer raw{};
};

std::uint64_t hash_buffer(const py::buffer& buffer, std::uint64_t seed) {
  const BufferView view(buffer);
  const py::gil_scoped_release release;
  return xxh64({static_cast<const std::byte*>(view.raw.buf), static_cast<std::size_t>(view.raw.len)}, seed);
}

}  // namespace

void bind_model(py::module_& m) {
  m.def("xxh64", &hash_buffer, py::arg("buffer"), py::arg("seed") = 0, "XXH64 of a contiguous buffer's bytes.");

  py::class_<Bundle, std::shared_ptr<Bundle>>(m, "Bundle", "A prepared model, mapped read-only; checked when it is opened.")
      .def(py::init([](const std::filesystem::path& path) {
             const py::gil_scoped_release release;
             return std::make_shared<Bundle>(path);
           }),
           py::arg("path"))
      .def_property_readonly("path", &Bundle::path)
      .def_property_readonly("metadata",
                             [](const Bundle& bundle) {
                               py::dict result;
                               for (const auto& [key, value] : bundle.metadata()) result[py::str(key)] = py::cast(value);
                               return result;
                             })
      .def_property_readonly("vocabulary",
                             [](const Bundle& bundle) {
                               py::dict result;
                               for (const auto& [character, id] : bundle.vocabulary())
                                 result[py::cast(std::u32string(1, character))] = id;
                               return result;
                             })
      .def_property_readonly("tensor_names",
                             [](const Bundle& bundle) {
                               std::vector<std::string> names;
                               for (const Tensor& tensor : bundle.tensors()) names.push_back(tensor.name);
                               return names;
                             })
      .def("tensor", &dequantized, py::arg("name"), "The tensor as float32, integers dequantised.")
      .def(
          "raw_tensor",
          [](const py::object& self, const std::string& name) {
            const Tensor& tensor = self.cast<const Bundle&>().tensor(name);
            return view(self, dtype_of(tensor.type), {tensor.shape.begin(), tensor.shape.end()}, tensor.data);
          },
          py::arg("name"), "The tensor as stored: a read-only view into the file.")
      .def_property_readonly(
          "acoustic_model",
          [](const py::object& self) {
            const auto data = self.cast<const Bundle&>().acoustic_model();
            return view(self, py::dtype::of<std::uint8_t>(), {static_cast<py::ssize_t>(data.size())}, data);
          },
          "The acoustic model's serialised ONNX graph: a read-only view into the file.")
      .def("release_pages", &Bundle::release_pages, py::call_guard<py::gil_scoped_release>(),
           "Takes the file out of resident memory until it is read again, gives unused heap back; views stay valid.");
}

}  // namespace koe::bindings
