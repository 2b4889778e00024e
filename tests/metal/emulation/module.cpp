// SPDX-License-Identifier: Apache-2.0
// The emulation for pytest: the vocoder with all its stages, and layers one by one beside the scalar kernels.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device.hpp"
#include "kernels.hpp"
#include "kernels/dispatch.hpp"
#include "koe/vocoder.hpp"
#include "metal/backend.hpp"
#include "metal/network.hpp"
#include "metal/planner.hpp"
#include "vocoder/adain.hpp"
#include "vocoder/conv.hpp"

namespace koe::kernels {
const Table* scalar() noexcept;
}

namespace koe::emulation {
namespace {

namespace py = pybind11;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using metal::Buffer;
using metal::Rows;

std::span<const float> span(const Floats& a) { return {a.data(), static_cast<std::size_t>(a.size())}; }

py::array_t<float> vector(const std::vector<float>& v) { return py::array_t<float>(static_cast<py::ssize_t>(v.size()), v.data()); }

py::array_t<float> matrix(std::size_t rows, std::size_t columns, const float* from, std::size_t stride) {
  py::array_t<float> out({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(columns)});
  for (std::size_t r = 0; r < rows; ++r) std::copy_n(from + r * stride, columns, out.mutable_data(static_cast<py::ssize_t>(r)));
  return out;
}

Vocoder::Array to_array(const Floats& a) {
  return {std::vector<float>(a.data(), a.data() + a.size()), static_cast<std::size_t>(a.shape(0)),
          static_cast<std::size_t>(a.shape(1))};
}

py::array_t<float> from_array(const Vocoder::Array& a) { return matrix(a.rows, a.columns, a.values.data(), a.columns); }

std::uint32_t length(const Floats& a, int axis) { return static_cast<std::uint32_t>(a.shape(axis)); }

/// koe::Vocoder's stages on the emulated device.
class EmulatedVocoder {
 public:
  EmulatedVocoder(const std::string& bundle, const std::string& precision, std::optional<std::uint64_t> noise_seed,
                  std::uint64_t seed)
      : backend_(metal::metal_backend(
            Bundle(bundle), {.isa = {}, .precision = parse_precision(precision), .noise_seed = noise_seed},
            [seed](std::span<const std::byte> weights) { return std::make_unique<EmulatedDevice>(weights, seed); })) {}

  std::string precision() const { return name_of(backend_->precision()); }
  py::array_t<float> synthesize(const Floats& asr, const Floats& f0, const Floats& n, const Floats& style) {
    std::vector<float> samples(static_cast<std::size_t>(f0.size()) * 300);
    backend_->synthesize(span(asr), span(f0), span(n), span(style), samples);
    return vector(samples);
  }
  py::array_t<float> decode(const Floats& asr, const Floats& f0, const Floats& n, const Floats& style) {
    return from_array(backend_->decode(span(asr), span(f0), span(n), span(style)));
  }
  py::array_t<float> source(const Floats& f0) {
    std::vector<float> signal(static_cast<std::size_t>(f0.size()) * 300);
    backend_->source(span(f0), signal);
    return vector(signal);
  }
  py::array_t<float> source_spectrum(const Floats& signal) { return from_array(backend_->source_spectrum(span(signal))); }
  py::array_t<float> generator_level(std::size_t level, const Floats& x, const Floats& har, const Floats& style) {
    return from_array(backend_->generator_level(level, to_array(x), to_array(har), span(style)));
  }
  py::array_t<float> spectrum(const Floats& x) { return from_array(backend_->spectrum(to_array(x))); }
  py::array_t<float> istft(const Floats& x) {
    std::vector<float> samples(static_cast<std::size_t>(x.shape(1) - 1) * 5);
    backend_->istft(to_array(x), samples);
    return vector(samples);
  }

 private:
  std::unique_ptr<vocoder::Backend> backend_;
};

/// A layer of the network with what stands before it.
struct Layer {
  const metal::ConvLayer* conv;
  std::string snake;  // the tensor of its Snake, or empty
  metal::Region snake_region;
};

std::vector<Layer> layers_of(const metal::Network& network) {
  std::vector<Layer> layers{{&network.asr_residual, {}, {}}, {&network.output, {}, {}}};
  const auto add_block = [&](const metal::AdainResidualLayers& b) {
    for (const metal::ConvLayer* c : {&b.conv1, &b.conv2, &b.shortcut}) layers.push_back({c, {}, {}});
  };
  const auto add_residual = [&](const metal::SnakeResidualLayers& r, const std::string& name) {
    for (std::size_t i = 0; i < r.size(); ++i) {
      layers.push_back({&r[i].conv1, name + ".alpha1." + std::to_string(i), r[i].snake1});
      layers.push_back({&r[i].conv2, name + ".alpha2." + std::to_string(i), r[i].snake2});
    }
  };
  add_block(network.encode);
  for (const auto& block : network.decode) add_block(block);
  for (std::size_t l = 0; l < network.levels.size(); ++l) {
    const metal::LevelLayers& level = network.levels[l];
    layers.push_back({&level.up, {}, {}});
    layers.push_back({&level.noise, {}, {}});
    add_residual(level.noise_residual, "generator.noise_res." + std::to_string(l));
    for (std::size_t i = 0; i < 3; ++i) {
      add_residual(level.residuals[i], "generator.resblocks." + std::to_string(3 * l + i));
    }
  }
  return layers;
}

/// What a convolution is asked to do, for both sides of a comparison.
struct Task {
  std::optional<Floats> affine;  // [2, in]
  std::string activation = "none";
  float slope = 0.0f;
  std::optional<Floats> residual;    // [rows, out], or half of the rows
  std::optional<Floats> accumulate;  // [rows, out]
  float gain = 1.0f;
};

/// The network's layers one by one.
class Layers {
 public:
  Layers(const std::string& bundle, bool is_half, std::uint64_t seed)
      : bundle_(bundle), network_(bundle_, is_half), device_(network_.arena(), seed), layers_(layers_of(network_)) {}

  std::vector<py::dict> list() const {
    std::vector<py::dict> out;
    for (const Layer& layer : layers_) {
      const metal::ConvLayer& c = *layer.conv;
      py::dict d;
      d["name"] = c.name;
      d["taps"] = c.taps;
      d["dilation"] = c.dilation;
      d["row_step"] = c.row_step;
      d["padding"] = c.padding;
      d["inputs"] = c.in;
      d["outputs"] = c.out;
      d["phases"] = c.phases;
      d["is_half"] = c.is_half;
      d["has_snake"] = !layer.snake.empty();
      out.push_back(d);
    }
    return out;
  }

  /// The layer on the emulated device: its output, and the means and squared deviations of its blocks of rows.
  py::tuple conv(std::size_t index, const Floats& x, std::uint32_t n_rows, const Task& task) {
    const Layer& layer = layers_.at(index);
    const metal::ConvLayer& c = *layer.conv;
    metal::Planner planner(network_);
    const Rows in{Buffer::input, length(x, 0), c.in, c.in, 0};
    const Rows out{Buffer::state, n_rows, c.out, c.out, 0};
    std::vector<metal::Upload> uploads{{Buffer::input, span(x)}};
    metal::Entry entry{.activation = task.activation == "snake"   ? metal::kActivationSnake
                                     : task.activation == "leaky" ? metal::kActivationLeaky
                                                                  : metal::kActivationNone,
                       .slope = task.slope,
                       .snake = layer.snake_region};
    metal::Exit exit{.out = out, .gain = task.gain, .has_statistics = true};
    if (task.affine) {
      entry.is_affine = true;
      uploads.push_back({Buffer::affine, span(*task.affine)});
    }
    if (task.residual) {
      exit.residual = Rows{Buffer::skip, length(*task.residual, 0), c.out, c.out, 0};
      exit.residual_shift = length(*task.residual, 0) < n_rows ? 1 : 0;
      uploads.push_back({Buffer::skip, span(*task.residual)});
    }
    if (task.accumulate) {
      exit.accumulate = Rows{Buffer::mean0, n_rows, c.out, c.out, 0};
      uploads.push_back({Buffer::mean0, span(*task.accumulate)});
    }
    const metal::Statistics s = planner.conv(c, in, entry, exit);
    std::vector<float> values(out.floats());
    device_.run(planner.take(), uploads, Buffer::state, values);
    const std::size_t blocks = (s.rows + s.block_rows - 1) / s.block_rows;
    std::vector<float> partials(2 * blocks * s.channels);
    device_.read(Buffer::partials, partials);
    return py::make_tuple(matrix(n_rows, c.out, values.data(), c.out), matrix(2 * blocks, c.out, partials.data(), c.out),
                          s.block_rows);
  }

  /// The same by the scalar kernels.
  py::array_t<float> scalar_conv(std::size_t index, const Floats& x, std::uint32_t n_rows, const Task& task) {
    const Layer& layer = layers_.at(index);
    const metal::ConvLayer& c = *layer.conv;
    const vocoder::Conv conv(bundle_, c.name, scalar_, kernels::Precision::float32,
                             {.dilation = c.dilation, .stride = c.row_step, .padding = c.padding});
    Padded in(x);
    Padded out(n_rows, c.out);
    Padded residual(n_rows, c.out);
    Padded accumulate(n_rows, c.out);
    vocoder::Affine affine;
    vocoder::Snake snake;
    vocoder::Source source{.x = in.frames};
    if (task.affine) {
      const std::size_t padded = vocoder::round_up(c.in, vocoder::kRowStep);
      std::fill_n(affine.scale.reserve(padded), padded, 0.0f);
      std::fill_n(affine.shift.reserve(padded), padded, 0.0f);
      std::copy_n(task.affine->data(), c.in, affine.scale.data());
      std::copy_n(task.affine->data() + c.in, c.in, affine.shift.data());
      source.affine = &affine;
    }
    if (task.activation == "leaky") {
      source.activation = kernels::Activation::leaky;
      source.slope = task.slope;
    } else if (task.activation == "snake") {
      snake = vocoder::Snake(bundle_, layer.snake, c.in);
      source.activation = kernels::Activation::snake;
      source.snake = &snake;
    }
    vocoder::Target target{.out = out.frames, .gain = task.gain};
    if (task.residual) {
      const std::uint32_t shift = length(*task.residual, 0) < n_rows ? 1 : 0;
      for (std::size_t r = 0; r < n_rows; ++r) std::copy_n(task.residual->data() + (r >> shift) * c.out, c.out, residual.frames.row(r));
      target.residual = residual.frames.data;
    }
    if (task.accumulate) {
      for (std::size_t r = 0; r < n_rows; ++r) std::copy_n(task.accumulate->data() + r * c.out, c.out, accumulate.frames.row(r));
      target.accumulate = accumulate.frames.data;
    }
    conv.run(scalar_, source, target);
    return matrix(n_rows, c.out, out.frames.data, out.frames.stride);
  }

  /// The transposed convolution, added to `sum`.
  py::array_t<float> up(std::size_t index, const Floats& x, float slope, const Floats& sum, bool is_padded) {
    const metal::ConvLayer& c = *layers_.at(index).conv;
    metal::Planner planner(network_);
    const Rows in{Buffer::input, length(x, 0), c.in, c.in, 0};
    const Rows out{Buffer::sum, length(sum, 0), length(sum, 1), length(sum, 1), 0};
    planner.up(c, in, slope, out, is_padded);
    const std::vector<metal::Upload> uploads{{Buffer::input, span(x)}, {Buffer::sum, span(sum)}};
    std::vector<float> values(out.floats());
    device_.run(planner.take(), uploads, Buffer::sum, values);
    return matrix(out.rows, out.channels, values.data(), out.stride);
  }

  /// Scale and shift of the decoder's `decode.1.norm1` for x, whose rows are longer than their channels.
  py::array_t<float> norm(const Floats& x, const Floats& style) {
    const metal::NormLayer& layer = network_.decode[1].norm1;
    metal::Planner planner(network_);
    planner.style();
    const Rows in{Buffer::features, length(x, 0), layer.channels, length(x, 1), 0};
    planner.fold(layer, planner.statistics(in));
    const std::vector<metal::Upload> uploads{{Buffer::features, span(x)}, {Buffer::style, span(style)}};
    std::vector<float> values(2 * layer.channels);
    device_.run(planner.take(), uploads, Buffer::affine, values);
    return matrix(2, layer.channels, values.data(), layer.channels);
  }

  py::array_t<float> scalar_norm(const Floats& x, const Floats& style) {
    const std::size_t channels = network_.decode[1].norm1.channels;
    const vocoder::AdaIn norm(bundle_, "decode.1.norm1", channels);
    Padded in(static_cast<std::size_t>(x.shape(0)), channels);
    for (std::size_t r = 0; r < in.frames.rows; ++r) {
      std::copy_n(x.data(static_cast<py::ssize_t>(r)), channels, in.frames.row(r));
    }
    vocoder::ChannelSums sums;
    vocoder::sum_channels(scalar_, in.frames, sums);
    vocoder::Affine affine;
    norm.fold(span(style), sums, in.frames.rows, affine);
    py::array_t<float> out({py::ssize_t{2}, static_cast<py::ssize_t>(channels)});
    std::copy_n(affine.scale.data(), channels, out.mutable_data(0));
    std::copy_n(affine.shift.data(), channels, out.mutable_data(1));
    return out;
  }

 private:
  // Rows as the scalar kernels want them: aligned, padded with zeros.
  struct Padded {
    Padded(std::size_t rows, std::size_t channels) {
      const std::size_t stride = vocoder::round_up(channels, vocoder::kRowStep);
      frames = {buffer.reserve(rows * stride), rows, channels, stride};
      std::fill_n(frames.data, rows * stride, 0.0f);
    }
    explicit Padded(const Floats& a) : Padded(static_cast<std::size_t>(a.shape(0)), static_cast<std::size_t>(a.shape(1))) {
      for (std::size_t r = 0; r < frames.rows; ++r) std::copy_n(a.data(static_cast<py::ssize_t>(r)), frames.channels, frames.row(r));
    }
    vocoder::Buffer<float> buffer;
    vocoder::Frames frames;
  };

  Bundle bundle_;
  metal::Network network_;
  EmulatedDevice device_;
  std::vector<Layer> layers_;
  vocoder::Machine scalar_{*kernels::scalar(), 1};
};

/// Runs the kernel with a fault of faulty.metal over two threadgroups of 64.
py::array_t<float> run_faulty(const Floats& x, std::uint32_t fault, std::uint32_t rounds, std::uint64_t seed,
                              std::uint32_t threads, std::uint32_t threadgroup_bytes, std::size_t extra_buffers) {
  Machine m(seed);
  Allocation in;
  Allocation out;
  const auto bytes = static_cast<std::size_t>(x.nbytes());
  in.bytes.resize(bytes + 64);
  out.bytes.assign(bytes + 64, std::byte{0xff});
  std::memcpy(in.bytes.data() + 32, x.data(), bytes);
  const std::uint32_t arguments[2]{fault, rounds};
  Launch launch{.kernel = "reversed",
                .constants = {},
                .arguments = arguments,
                .argument_bytes = sizeof arguments,
                .bindings = {{&in, 32, bytes}, {&out, 32, bytes}},
                .groups_x = 2,
                .threads = threads,
                .threadgroup_bytes = threadgroup_bytes};
  for (std::size_t i = 0; i < extra_buffers; ++i) launch.bindings.push_back({&in, 32, bytes});
  run_kernel(m, launch);
  py::array_t<float> result(x.size());
  std::memcpy(result.mutable_data(), out.bytes.data() + 32, bytes);
  return result;
}

py::array_t<std::uint16_t> halves(const Floats& x) {
  py::array_t<std::uint16_t> out(x.size());
  for (py::ssize_t i = 0; i < x.size(); ++i) out.mutable_data()[i] = metal::to_half(x.data()[i]);
  return out;
}

PYBIND11_MODULE(koe_metal_emulation, m) {
  py::register_exception<Fault>(m, "Fault", PyExc_RuntimeError);
  py::class_<EmulatedVocoder>(m, "EmulatedVocoder")
      .def(py::init<const std::string&, const std::string&, std::optional<std::uint64_t>, std::uint64_t>(), py::arg("bundle"),
           py::arg("precision") = "auto", py::arg("noise_seed") = py::none(), py::arg("seed") = 0)
      .def_property_readonly("precision", &EmulatedVocoder::precision)
      .def("synthesize", &EmulatedVocoder::synthesize)
      .def("decode", &EmulatedVocoder::decode)
      .def("source", &EmulatedVocoder::source)
      .def("source_spectrum", &EmulatedVocoder::source_spectrum)
      .def("generator_level", &EmulatedVocoder::generator_level)
      .def("spectrum", &EmulatedVocoder::spectrum)
      .def("istft", &EmulatedVocoder::istft);
  py::class_<Task>(m, "Task")
      .def(py::init([](std::optional<Floats> affine, const std::string& activation, float slope, std::optional<Floats> residual,
                       std::optional<Floats> accumulate, float gain) {
             return Task{std::move(affine), activation, slope, std::move(residual), std::move(accumulate), gain};
           }),
           py::kw_only(), py::arg("affine") = py::none(), py::arg("activation") = "none", py::arg("slope") = 0.0f,
           py::arg("residual") = py::none(), py::arg("accumulate") = py::none(), py::arg("gain") = 1.0f);
  py::class_<Layers>(m, "Layers")
      .def(py::init<const std::string&, bool, std::uint64_t>(), py::arg("bundle"), py::arg("is_half") = true,
           py::arg("seed") = 0)
      .def("list", &Layers::list)
      .def("conv", &Layers::conv)
      .def("scalar_conv", &Layers::scalar_conv)
      .def("up", &Layers::up)
      .def("norm", &Layers::norm)
      .def("scalar_norm", &Layers::scalar_norm);
  m.def("run_faulty", &run_faulty, py::arg("x"), py::arg("fault"), py::arg("rounds") = 2, py::arg("seed") = 0,
        py::arg("threads") = 64, py::arg("threadgroup_bytes") = 256, py::arg("extra_buffers") = 0);
  m.def("halves", &halves);
}

}  // namespace
}  // namespace koe::emulation
