// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "koe/bundle.hpp"
#include "koe/export.hpp"

namespace koe {

/// The acoustic model's output for one chunk of L tokens; T frames, 40 a second. Row-major.
struct AcousticFrames {
  std::vector<float> asr;               ///< encoded phonemes, repeated by duration, [512, T]
  std::vector<float> f0;                ///< pitch in Hz, [2T]
  std::vector<float> n;                 ///< energy, [2T]
  std::vector<std::int64_t> durations;  ///< frames of each token and of the pads at both ends, [L + 2]; they sum to T
};

/// What stands between tokens and the vocoder. An app may bring its own; koe calls it from several threads at once.
class KOE_API AcousticModel {
 public:
  virtual ~AcousticModel();

  /// Runs one chunk: `ids` without the pads, 1 ≤ L ≤ kMaxTokens; `style` [256], of which the second half counts here;
  /// durations are divided by `speed`. Throws koe::Error if it fails or gives values that are not finite;
  /// std::invalid_argument where the inputs don't fit.
  [[nodiscard]] virtual AcousticFrames run(std::span<const std::int64_t> ids, std::span<const float> style,
                                           float speed) const = 0;

 protected:
  AcousticModel() = default;
  AcousticModel(const AcousticModel&) = default;
  AcousticModel& operator=(const AcousticModel&) = default;
};

struct OnnxRuntimeOptions {
  /// ONNX Runtime's shared library. Empty: `KOE_ONNXRUNTIME`, else one that the program is linked with, else the usual
  /// names where the system looks for libraries.
  std::filesystem::path library;
  std::size_t threads = 0;  ///< of one run; 0 for what ONNX Runtime thinks best
};

/// The bundle's acoustic sub-graph in ONNX Runtime, which is loaded at run time: 1.11 or newer. The bundle is not needed
/// afterwards. The library stays loaded until the process ends. Throws koe::Error: kRuntimeNotFound, kRuntimeVersion, or
/// kModel where the runtime refuses the graph.
KOE_API std::unique_ptr<AcousticModel> open_onnx_runtime(const Bundle& bundle, const OnnxRuntimeOptions& options = {});

}  // namespace koe
