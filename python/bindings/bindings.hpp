// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace koe::bindings {

void bind_g2p(pybind11::module_& m);
void bind_text(pybind11::module_& m);
void bind_voice(pybind11::module_& m);
void bind_model(pybind11::module_& m);
void bind_device_error(pybind11::module_& m);
void bind_vocoder(pybind11::module_& m);
void bind_audio(pybind11::module_& m);
void bind_acoustic(pybind11::module_& m);

}  // namespace koe::bindings
