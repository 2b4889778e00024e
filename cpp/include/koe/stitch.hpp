// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// How chunks become one piece of speech.
///
/// The level defaults come from 66 utterances of six v1.0 voices: sentences have 170–400 ms at the start and 300–740 ms at
/// the end without speech, -75 dBFS or less (most of it near -90) where the loudest 5 ms reach -12 to -21 dBFS; final s, f
/// and θ fade through -40 to -65 dBFS, some over 100 ms. All that the defaults cut there has an RMS below -72 dBFS. The
/// source noise of the original model changes none of this: its edges are within two decibels of those without noise.
struct StitchOptions {
  double sample_rate_hz = 24'000;  ///< 1 to 768 000
  double silence_s = 0.4;          ///< between chunks; 0 to 3 600, rounded to a sample
  double fade_s = 0.008;           ///< raised-cosine fade at both ends of each chunk; 0 to 1
  bool trim = true;                ///< cut what lies outside find_speech()
  double threshold_db = -50;       ///< speech is above this level relative to the chunk's loudest frame; -200 to 0
  double floor_db = -70;           ///< … and above this one relative to full scale, so that a chunk of mere noise is silent
  double margin_s = 0.04;          ///< kept on each side of the speech, for soft onsets and endings; 0 to 10
};

/// Samples [begin, end).
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;

  [[nodiscard]] std::size_t size() const noexcept { return end - begin; }
  friend bool operator==(const Span&, const Span&) = default;
};

/// Where a chunk came to lie in the output, all in samples.
struct Placement {
  std::size_t offset = 0;         ///< of the chunk's first kept sample in the output
  std::size_t n_samples = 0;      ///< kept
  std::size_t trimmed_start = 0;  ///< cut from the chunk's start
  std::size_t trimmed_end = 0;    ///< cut from its end

  /// The place in the output of the chunk's sample `i` (counted before trimming). A sample that was cut gives the nearest
  /// one that is left, so that a word never begins before its chunk or ends after it.
  [[nodiscard]] std::size_t position(std::size_t i) const noexcept {
    const std::size_t kept = i > trimmed_start ? i - trimmed_start : 0;
    return offset + (kept < n_samples ? kept : n_samples);
  }

  friend bool operator==(const Placement&, const Placement&) = default;
};

/// The part of a chunk that holds speech: from the first to the last frame of 5 ms whose RMS is above both thresholds, with
/// the margin on each side, within the chunk. Quiet inside (a pause, a plosive's closure) is never touched. An empty span at
/// 0 means silence throughout.
/// Throws koe::Error, with the place, for NaN or infinity; std::invalid_argument for options out of range.
KOE_API Span find_speech(std::span<const float> samples, const StitchOptions& options = {});

/// The samples of find_speech(). Throws as it does.
KOE_API std::vector<float> trim(std::span<const float> samples, const StitchOptions& options = {});

/// Fades both ends in place by 0.5 − 0.5·cos(πi/n) over n samples, at most half of them all, rounded up. For n > 0 the very
/// first and the very last sample become 0, so whatever follows, a join can't click.
KOE_API void fade(std::span<float> samples, std::size_t n) noexcept;

/// What a push gave: samples to play now, and where the chunk lies.
struct StitchedPiece {
  std::vector<float> samples;  ///< the pause before the chunk, then the chunk, trimmed and faded
  Placement placement;
};

/// Joins chunks as they come. Nothing is held back but pauses, so the first chunk can be heard as soon as it is pushed; the
/// pieces one after the other are the whole. The margin (in which the fade lies) keeps speech itself untouched, unless a chunk
/// has speech right at its edge. One thread at a time.
class KOE_API Stitcher {
 public:
  /// Throws std::invalid_argument for options out of range.
  explicit Stitcher(const StitchOptions& options = {});

  /// Adds a chunk. `pause_before_s` replaces options.silence_s for this join, and stands even before the first chunk, where
  /// there is otherwise no silence. A chunk without speech (an empty one too) gives no samples; a pause asked for with it is
  /// kept and goes, in place of the default, before the next chunk, added to the one that may be asked for there.
  /// Throws koe::Error for NaN or infinity in the chunk (nothing changes then), std::invalid_argument for a pause that is
  /// not 0 to 3 600 s.
  StitchedPiece push(std::span<const float> chunk, std::optional<double> pause_before_s = std::nullopt);

  /// Ends the speech: returns a pause that is still kept, if any, and is then as new.
  std::vector<float> finish();

  /// Samples given out since the beginning or the last finish().
  [[nodiscard]] std::size_t n_samples() const noexcept { return n_samples_; }

  [[nodiscard]] const StitchOptions& options() const noexcept { return options_; }

 private:
  StitchOptions options_;
  std::size_t n_samples_ = 0;
  std::optional<std::size_t> kept_pause_;
};

/// What stitch() gives.
struct Stitched {
  std::vector<float> samples;
  std::vector<Placement> placements;  ///< one a chunk
};

/// All chunks through one Stitcher. `pauses_before_s`, where not empty, has one for each chunk. Throws as Stitcher does, and
/// std::invalid_argument where the counts differ.
KOE_API Stitched stitch(std::span<const std::span<const float>> chunks, const StitchOptions& options = {},
                        std::span<const std::optional<double>> pauses_before_s = {});

}  // namespace koe
