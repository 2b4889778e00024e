// SPDX-License-Identifier: Apache-2.0
// What the kernels are told, in one place for the kernels and for those that dispatch them. It is Metal's language as well
// as C++: 32-bit members only, so that both lay the structs out alike. Strides and sizes count elements, not bytes.
#pragma once

#if !defined(__METAL_VERSION__) && !defined(__OPENCL_CPP_VERSION__)
#include <cstdint>
#define KOE_UINT std::uint32_t
#define KOE_INT std::int32_t
namespace koe::metal {
#else
#define KOE_UINT unsigned int
#define KOE_INT int
#endif

// A simdgroup is 32 threads and multiplies 8 × 8 matrices: it makes 32 rows of 32 output channels.
enum : KOE_UINT { kSimdWidth = 32, kMatrix = 8, kSimdTile = 32, kTileMatrices = kSimdTile / kMatrix };

// Staged rows are this many elements longer than their channels, so that the rows of a matrix lie in different banks.
enum : KOE_UINT { kStagePad = 8 };

// The indices of the function constants, all of the convolution.
enum : KOE_UINT {
  kConstantTaps,
  kConstantDilation,
  kConstantRowStep,      // input rows from one output row to the next
  kConstantActivation,
  kConstantStore,
  kConstantTerms,        // kTerm… bits
  kConstantSimdRows,     // simdgroups above one another in a threadgroup's tile
  kConstantSimdColumns,  // and side by side
  kConstantBlock,        // input channels staged at a time: 8, 16 or 32
  kConstants
};

enum : KOE_UINT { kActivationNone, kActivationLeaky, kActivationSnake };

enum : KOE_UINT {
  kStoreRows,       // an output row a row
  kStorePolyphase,  // an output row holds `phases` rows of `phase_channels`, half a group of them cut off at either end
  kStoreSpectrum,   // log-magnitudes become magnitudes, phases their sine
};

enum : KOE_UINT { kTermResidual = 1, kTermAccumulate = 2, kTermStatistics = 4 };

// out[row] = (Σ_tap activation(x[row · row_step + tap · dilation − padding]) · W[tap] + bias + residual + accumulate) · gain
struct ConvArguments {
  KOE_UINT rows;             // output rows
  KOE_UINT in_rows;
  KOE_UINT in_channels;
  KOE_UINT in_stride;
  KOE_UINT in_blocks;        // groups of staged channels; weights are zero beyond in_channels
  KOE_UINT padding;          // rows of zeros before the first, after the activation
  KOE_UINT out_channels;
  KOE_UINT out_stride;       // of out and accumulate
  KOE_UINT weight_matrices;  // 8 × 8 matrices side by side in the packed weights: padded output channels / 8
  KOE_UINT affine_stride;    // from the scales to the shifts
  KOE_UINT residual_stride;
  KOE_UINT residual_shift;   // the residual's row is row >> residual_shift
  KOE_UINT partial_stride;   // from the means to the squared deviations, and half of that from block to block
  KOE_UINT phases;           // polyphase: output rows a group, their channels, what is cut off before the first, and how many
  KOE_UINT phase_channels;   //   are left
  KOE_UINT phase_offset;
  KOE_UINT phase_rows;
  KOE_UINT mirrored;         // polyphase: 1 if row 0 is row 2's product once more (reflection padding by one)
  float slope;
  float gain;
};

// Mean and Σ (x − mean)² of each channel over blocks of rows.
enum : KOE_UINT { kStatisticsRows = 64, kStatisticsSimds = 8 };
struct StatisticsArguments {
  KOE_UINT rows;
  KOE_UINT channels;
  KOE_UINT stride;
  KOE_UINT partial_stride;
};

// The blocks' statistics and the style's γ and β to one scale and one shift a channel.
enum : KOE_UINT { kFoldSimds = 8 };
struct FoldArguments {
  KOE_UINT rows;
  KOE_UINT block_rows;
  KOE_UINT blocks;
  KOE_UINT channels;
  KOE_UINT partial_stride;
  KOE_UINT affine_stride;
};

// Every AdaIN's γ and β at once: out = W · style + b, W stored [style][rows].
enum : KOE_UINT { kStyleThreads = 256 };
struct StyleArguments {
  KOE_UINT rows;
  KOE_UINT style_size;
};

// asr [channels][frames] to rows, F0 and N filtered to the frames' rate beside it.
enum : KOE_UINT { kElementThreads = 256 };
struct DecoderInputArguments {
  KOE_UINT frames;
  KOE_UINT channels;
  KOE_UINT in_stride;
  KOE_UINT features_stride;
  KOE_UINT features_at;  // the channel of F0 in the features' rows
  float f0_weight[3];
  float f0_bias;
  float n_weight[3];
  float n_bias;
};

// Depthwise transposed convolution: k 3, stride 2, padding 1, output padding 1.
struct PoolArguments {
  KOE_UINT rows;
  KOE_UINT channels;
  KOE_UINT in_stride;
  KOE_UINT out_stride;
  KOE_UINT affine_stride;
  float slope;
};

enum : KOE_UINT { kSourceHarmonics = 9, kSourceSamplesPerStep = 300, kSourceThreads = 64, kSourceSamplesPerThread = 4 };
struct SourceArguments {
  KOE_UINT steps;
  KOE_UINT has_noise;
  KOE_UINT seed_low;
  KOE_UINT seed_high;
  float voiced_deviation;
  float unvoiced_deviation;
  float bias;
  float gain[kSourceHarmonics];
};

enum : KOE_UINT { kFftSize = 20, kHopSize = 5, kBinCount = 11, kStftThreads = 64, kIstftHops = 64 };
struct StftArguments {
  KOE_UINT samples;
  KOE_UINT rows;
  KOE_UINT stride;
};

struct IstftArguments {
  KOE_UINT rows;
  KOE_UINT stride;
};

#undef KOE_UINT
#undef KOE_INT
#if !defined(__METAL_VERSION__) && !defined(__OPENCL_CPP_VERSION__)
}  // namespace koe::metal
#endif
