// SPDX-License-Identifier: Apache-2.0
// koe._core: one function a part of the core; each converts, releases the GIL, calls C++ and returns.
#include "bindings.hpp"

#include "koe/error.hpp"
#include "koe/version.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "koe's C++ core on NumPy arrays: text, voices, bundles, the vocoder and stitching.";
  m.attr("__version__") = koe::version();
  pybind11::register_exception<koe::Error>(m, "Error", PyExc_RuntimeError);
  koe::bindings::bind_device_error(m);
  koe::bindings::bind_text(m);
  koe::bindings::bind_g2p(m);
  koe::bindings::bind_voice(m);
  koe::bindings::bind_model(m);
  koe::bindings::bind_vocoder(m);
  koe::bindings::bind_acoustic(m);
  koe::bindings::bind_audio(m);
}
