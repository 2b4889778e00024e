// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>

#include "acoustic/onnx_runtime.hpp"
#include "koe/acoustic_model.hpp"
#include "koe/error.hpp"
#include "koe/style.hpp"
#include "koe/tokenizer.hpp"
#include "model/mapped_file.hpp"

namespace koe {
namespace {

constexpr std::array<const char*, 3> kInputs = {"tokens", "style", "speed"};
constexpr std::array<const char*, 4> kOutputs = {"asr", "f0", "n", "durations"};
constexpr std::size_t kAsrChannels = 512;

template <typename T>
using Owned = std::unique_ptr<T, ort::Release<T>>;

bool is_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
}

class OrtSession final : public AcousticModel {
 public:
  OrtSession(const Bundle& bundle, const OnnxRuntimeOptions& options)
      : runtime_(ort::load_runtime(options.library)),
        api_(*runtime_.api),
        memory_(nullptr, api_.release_memory_info),
        session_(nullptr, api_.release_session) {
    if (options.threads > kMostThreads) {
      throw std::invalid_argument("threads = " + std::to_string(options.threads) + ": at most " +
                                  std::to_string(kMostThreads));
    }
    const std::string name = display(bundle.path());
    ort::MemoryInfo* memory = nullptr;
    runtime_.check(api_.create_cpu_memory_info(ort::kArena, ort::kDefaultMemory, &memory), name, false);
    memory_.reset(memory);
    const auto settings = session_options(bundle, options.threads, name);
    const auto graph = bundle.acoustic_model();
    ort::Session* session = nullptr;
    runtime_.check(
        api_.create_session_from_array(runtime_.env, graph.data(), graph.size(), settings.get(), &session),
        name + ": ONNX Runtime " + runtime_.version + " refuses the acoustic model", true);
    session_.reset(session);
    check_inputs(name);
  }

  AcousticFrames run(std::span<const std::int64_t> ids, std::span<const float> style, float speed) const override {
    if (ids.empty() || ids.size() > kMaxTokens) {
      throw std::invalid_argument(std::to_string(ids.size()) + " tokens: the model takes 1 to " + std::to_string(kMaxTokens));
    }
    if (style.size() != kStyleSize) {
      throw std::invalid_argument("a style of " + std::to_string(style.size()) + " values: it has " + std::to_string(kStyleSize));
    }
    if (!(speed > 0) || !std::isfinite(speed)) throw std::invalid_argument("the speed is a number above 0");
    std::vector<std::int64_t> tokens(ids.size() + 2);
    std::copy(ids.begin(), ids.end(), tokens.begin() + 1);
    std::vector<float> styles(style.begin(), style.end());
    const std::string what = "the acoustic model failed on " + std::to_string(ids.size()) + " tokens";
    const std::array inputs = {
        tensor<std::int64_t>(tokens, {1, static_cast<std::int64_t>(tokens.size())}, ort::kInt64, what),
        tensor<float>(styles, {1, static_cast<std::int64_t>(kStyleSize)}, ort::kFloat, what),
        tensor<float>({&speed, 1}, {1}, ort::kFloat, what),
    };
    const std::array<const ort::Value*, 3> pointers = {inputs[0].get(), inputs[1].get(), inputs[2].get()};
    std::array<ort::Value*, kOutputs.size()> raw{};
    ort::Status* status = api_.run(session_.get(), nullptr, kInputs.data(), pointers.data(), kInputs.size(),
                                   kOutputs.data(), kOutputs.size(), raw.data());
    std::array<Owned<ort::Value>, kOutputs.size()> outputs = {own(raw[0]), own(raw[1]), own(raw[2]), own(raw[3])};
    runtime_.check(status, what, true);
    return frames(outputs, tokens.size(), what);
  }

 private:
  static constexpr std::size_t kMostThreads = 1024;

  Owned<ort::SessionOptions> session_options(const Bundle& bundle, std::size_t threads, const std::string& name) const {
    ort::SessionOptions* created = nullptr;
    runtime_.check(api_.create_session_options(&created), name, false);
    Owned<ort::SessionOptions> options(created, api_.release_session_options);
    const auto set = [&](ort::Status* status) { runtime_.check(status, name, false); };
    set(api_.set_intra_op_num_threads(created, static_cast<int>(threads)));
    set(api_.set_inter_op_num_threads(created, 1));
    // Whoever prepared the bundle has optimised the graph already.
    if (bundle.has("koe.graph_optimization")) set(api_.set_session_graph_optimization_level(created, ort::kDisableAll));
    // Idle threads that spin would take the vocoder's cores; a memory pattern for each new length would never be freed.
    set(api_.add_session_config_entry(created, "session.intra_op.allow_spinning", "0"));
    set(api_.add_session_config_entry(created, "session.inter_op.allow_spinning", "0"));
    set(api_.disable_mem_pattern(created));
    set(api_.set_session_log_severity_level(created, ort::kLogFatal));
    return options;
  }

  void check_inputs(const std::string& name) const {
    std::size_t count = 0;
    ort::Allocator* allocator = nullptr;
    runtime_.check(api_.session_get_input_count(session_.get(), &count), name, false);
    runtime_.check(api_.get_allocator_with_default_options(&allocator), name, false);
    std::string found;
    std::size_t known = 0;
    for (std::size_t i = 0; i < count; ++i) {
      char* text = nullptr;
      runtime_.check(api_.session_get_input_name(session_.get(), i, allocator, &text), name, false);
      const std::string input = text;
      runtime_.check(api_.allocator_free(allocator, text), name, false);
      if (i) found += ", ";
      found += input;
      known += std::find(kInputs.begin(), kInputs.end(), std::string_view(input)) != kInputs.end();
    }
    if (count != kInputs.size() || known != count) {
      throw Error(name + ": the acoustic model's inputs are " + found + " instead of tokens, style, speed", ErrorKind::kModel);
    }
  }

  Owned<ort::Value> own(ort::Value* value) const { return {value, api_.release_value}; }

  template <typename T>
  Owned<ort::Value> tensor(std::span<T> values, const std::vector<std::int64_t>& shape, int type,
                           const std::string& what) const {
    ort::Value* value = nullptr;
    runtime_.check(api_.create_tensor_with_data(memory_.get(), values.data(), values.size_bytes(), shape.data(), shape.size(),
                                                type, &value),
                   what, false);
    return own(value);
  }

  /// An output's values, whose number follows from its shape.
  std::span<const float> values(ort::Value* value, const std::string& what) const {
    ort::TensorInfo* raw = nullptr;
    runtime_.check(api_.get_tensor_type_and_shape(value, &raw), what, true);
    const Owned<ort::TensorInfo> info(raw, api_.release_tensor_info);
    int type = 0;
    std::size_t n_dimensions = 0;
    runtime_.check(api_.get_tensor_element_type(raw, &type), what, true);
    runtime_.check(api_.get_dimensions_count(raw, &n_dimensions), what, true);
    std::vector<std::int64_t> shape(n_dimensions);
    runtime_.check(api_.get_dimensions(raw, shape.data(), shape.size()), what, true);
    if (type != ort::kFloat) throw Error(what + ": an output is not float32", ErrorKind::kModel);
    std::size_t size = 1;
    for (const std::int64_t n : shape) size *= static_cast<std::size_t>(n);
    void* data = nullptr;
    runtime_.check(api_.get_tensor_mutable_data(value, &data), what, true);
    return {static_cast<const float*>(data), size};
  }

  AcousticFrames frames(std::span<const Owned<ort::Value>> outputs, std::size_t n_tokens, const std::string& what) const {
    const auto asr = values(outputs[0].get(), what), f0 = values(outputs[1].get(), what), n = values(outputs[2].get(), what),
               durations = values(outputs[3].get(), what);
    if (!is_finite(asr) || !is_finite(f0) || !is_finite(n) || !is_finite(durations)) {
      throw Error("the acoustic model gave values that are not finite; the voice or model is damaged", ErrorKind::kModel);
    }
    AcousticFrames out{{asr.begin(), asr.end()}, {f0.begin(), f0.end()}, {n.begin(), n.end()}, {}};
    std::int64_t total = 0;
    for (const float duration : durations) {
      if (duration < 0 || duration > static_cast<float>(asr.size())) break;
      out.durations.push_back(static_cast<std::int64_t>(duration));
      total += out.durations.back();
    }
    const auto n_frames = static_cast<std::size_t>(total);
    if (out.durations.size() != n_tokens || asr.size() != kAsrChannels * n_frames || f0.size() != 2 * n_frames ||
        n.size() != 2 * n_frames) {
      throw Error(what + ": its outputs' shapes don't fit together", ErrorKind::kModel);
    }
    return out;
  }

  const ort::Runtime& runtime_;
  const ort::Api& api_;
  Owned<ort::MemoryInfo> memory_;
  Owned<ort::Session> session_;
};

}  // namespace

std::unique_ptr<AcousticModel> open_onnx_runtime(const Bundle& bundle, const OnnxRuntimeOptions& options) {
  return std::make_unique<OrtSession>(bundle, options);
}

}  // namespace koe
