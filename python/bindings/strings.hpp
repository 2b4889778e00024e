// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <pybind11/pybind11.h>

namespace koe::bindings {

/// str or bytes as UTF-8. A lone surrogate of a str becomes U+FFFD, so that each character stays one code point.
inline std::string to_utf8(const pybind11::object& text) {
  if (PyBytes_Check(text.ptr())) return text.cast<std::string>();
  if (!PyUnicode_Check(text.ptr())) {
    throw pybind11::type_error("expected str or bytes, got " + std::string(Py_TYPE(text.ptr())->tp_name));
  }
  Py_ssize_t size = 0;
  if (const char* utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &size)) return {utf8, static_cast<std::size_t>(size)};
  PyErr_Clear();
  std::string bytes = text.attr("encode")("utf-8", "surrogatepass").cast<std::string>();
  for (std::size_t i = 0; i + 2 < bytes.size(); ++i) {
    if (bytes[i] == '\xED' && static_cast<unsigned char>(bytes[i + 1]) >= 0xA0) bytes.replace(i, 3, "\xEF\xBF\xBD");
  }
  return bytes;
}

}  // namespace koe::bindings
