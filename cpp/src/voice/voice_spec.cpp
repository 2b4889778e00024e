// SPDX-License-Identifier: Apache-2.0
#include "koe/voice_spec.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "voice/message.hpp"

namespace koe {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kShortNames{{
    {"bella", "af_bella"},
    {"sarah", "af_sarah"},
    {"adam", "am_adam"},
    {"michael", "am_michael"},
    {"emma", "bf_emma"},
    {"isabella", "bf_isabella"},
    {"george", "bm_george"},
    {"lewis", "bm_lewis"},
    {"nicole", "af_nicole"},
    {"sky", "af_sky"},
}};
// What Kokoro-82M's release called its default voice.
constexpr std::string_view kDefaultMix = "af";
constexpr int kMaxDigits = 15;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_name(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
}

bool continues_character(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

class Parser {
 public:
  explicit Parser(std::string_view spec) : spec_(spec) {}

  std::vector<WeightedVoice> parse() {
    do {
      item();
    } while (take(',') || take('+'));
    if (position_ < spec_.size()) fail("',', '+' or the end expected");
    double total = 0;
    for (const auto& voice : voices_) total += voice.weight;
    if (total == 0) fail("the weights sum to zero");
    for (auto& voice : voices_) voice.weight /= total;
    return std::move(voices_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    const auto before = spec_.substr(0, position_);
    const auto n_inside = std::count_if(before.begin(), before.end(), continues_character);
    const std::size_t n_before = before.size() - static_cast<std::size_t>(n_inside);
    std::size_t shown = std::min<std::size_t>(spec_.size(), 80);
    while (shown < spec_.size() && shown > 0 && continues_character(spec_[shown])) --shown;
    throw std::invalid_argument("voice '" + without_controls(spec_.substr(0, shown)) + (shown < spec_.size() ? "…" : "") +
                                "': " + what + " at character " + std::to_string(n_before + 1));
  }

  void skip_spaces() {
    while (position_ < spec_.size() && (spec_[position_] == ' ' || spec_[position_] == '\t')) ++position_;
  }

  bool take(char c) {
    skip_spaces();
    if (position_ == spec_.size() || spec_[position_] != c) return false;
    ++position_;
    return true;
  }

  void item() {
    skip_spaces();
    const std::size_t start = position_;
    while (position_ < spec_.size() && is_name(spec_[position_])) ++position_;
    if (position_ == start) fail("a voice's name expected");
    const std::string_view name = spec_.substr(start, position_ - start);
    double weight = 1;
    if (take(':')) {
      weight = number();
    } else if (take('(')) {
      weight = number();
      if (!take(')')) fail("')' expected");
    }
    add(name, weight);
  }

  /// Few enough digits that both halves of the quotient are exact, so the result is the nearest double.
  double number() {
    skip_spaces();
    if (position_ < spec_.size() && (spec_[position_] == '-' || spec_[position_] == '+')) {
      fail("a weight without a sign expected");
    }
    std::uint64_t digits = 0;
    double scale = 1;
    int n_digits = 0;
    bool fraction = false;
    for (; position_ < spec_.size(); ++position_) {
      const char c = spec_[position_];
      if (c == '.' && !fraction) {
        fraction = true;
      } else if (is_digit(c)) {
        if (++n_digits > kMaxDigits) fail("a weight of at most 15 digits expected");
        digits = digits * 10 + static_cast<std::uint64_t>(c - '0');
        if (fraction) scale *= 10;
      } else {
        break;
      }
    }
    if (n_digits == 0) fail("a weight expected");
    return static_cast<double>(digits) / scale;
  }

  void add(std::string_view name, double weight) {
    std::string lowered(name);
    std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
    if (lowered == kDefaultMix) {
      add_one("af_bella", weight / 2);
      add_one("af_sarah", weight / 2);
      return;
    }
    for (const auto& [short_name, full_name] : kShortNames) {
      if (lowered == short_name) return add_one(full_name, weight);
    }
    add_one(name, weight);
  }

  void add_one(std::string_view name, double weight) {
    for (auto& voice : voices_) {
      if (voice.name == name) {
        voice.weight += weight;
        return;
      }
    }
    voices_.push_back({std::string(name), weight});
  }

  std::string_view spec_;
  std::size_t position_ = 0;
  std::vector<WeightedVoice> voices_;
};

/// Optimal string alignment: the Levenshtein distance with swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::vector<WeightedVoice> parse_voice_spec(std::string_view spec) { return Parser(spec).parse(); }

std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> candidates, std::size_t n) {
  // Longer than any voice's name by far: the rest can only cost time.
  name = name.substr(0, 256);
  struct Ranked {
    std::size_t distance;
    std::size_t index;
  };
  std::vector<Ranked> ranked;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string_view whole = candidates[i];
    const std::string_view part = whole.substr(whole.find('_') == std::string_view::npos ? 0 : whole.find('_') + 1);
    std::size_t best = SIZE_MAX;
    for (const std::string_view candidate : {whole, part}) {
      const std::size_t edits = distance(name, candidate);
      if (edits < std::max(name.size(), candidate.size())) best = std::min(best, edits);
    }
    if (best != SIZE_MAX) ranked.push_back({best, i});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.distance < b.distance; });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(n, ranked.size()); ++i) names.push_back(candidates[ranked[i].index]);
  return names;
}

}  // namespace koe
