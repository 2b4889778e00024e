// SPDX-License-Identifier: Apache-2.0
// espeak-ng joins words ("of the" is one group of phonemes) and splits them ("1984" is three), so a phrase's groups are not
// its words. The phrase is aligned, phoneme by phoneme, with its words spoken one by one.
#include "text/align.hpp"

#include <algorithm>
#include <cstdint>

#include "text/characters.hpp"

namespace koe::text {
namespace {

constexpr std::u32string_view kVowels = U"aeiouæɑɐɒɔəɘɛɜɞɪɨɯɵøœʉʊʌʏyᵊᵻAIOQWY";
// Up to this length the detailed comparison of all with all is cheap.
constexpr std::size_t kShort = 48;
// Costs of leaving a phoneme, a stress mark or a space without a partner; a pair of unlike kinds never pays.
constexpr int kGap = 2, kStressGap = 0, kSpaceGap = 1, kForbidden = 100;
constexpr int kNobody = -1;

bool is_stress(char32_t c) { return c == U'ˈ' || c == U'ˌ'; }
bool is_vowel(char32_t c) { return is_in(kVowels, c); }

int gap(char32_t c) { return is_stress(c) ? kStressGap : c == U' ' ? kSpaceGap : kGap; }

int difference(char32_t a, char32_t b) {
  if (a == b) return 0;
  if (a == U' ' || b == U' ' || is_stress(a) != is_stress(b)) return kForbidden;
  if (is_stress(a)) return 0;
  return is_vowel(a) == is_vowel(b) ? 2 : 3;
}

std::vector<std::u32string> split(std::u32string_view text) {
  std::vector<std::u32string> parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(U' '); end != text.npos; end = text.find(U' ', begin)) {
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.emplace_back(text.substr(begin));
  return parts;
}

std::u32string without_stress(std::u32string_view text) {
  std::u32string out(text);
  std::erase_if(out, is_stress);
  return out;
}

SpanList group_spans(const std::vector<std::u32string>& groups) {
  SpanList spans;
  std::size_t start = 0;
  for (const auto& group : groups) {
    spans.emplace_back(start, start + group.size());
    start += group.size() + 1;
  }
  return spans;
}

struct Anchor {
  std::size_t group_begin, group_end, word;
};

/// The longest common subsequence of words and runs of groups, by phonemes without stress.
std::vector<Anchor> find_anchors(const std::vector<std::u32string>& groups, const std::vector<std::u32string>& words,
                                 const std::vector<bool>& joined) {
  std::vector<std::u32string> sounds;
  for (const auto& group : groups) sounds.push_back(without_stress(group));
  std::vector<std::vector<std::u32string>> alone(words.size());
  for (std::size_t j = 0; j < words.size(); ++j) {
    const bool is_glued = joined[j] || (j + 1 < words.size() && joined[j + 1]);
    if (!is_glued) alone[j] = split(without_stress(words[j]));
  }
  const std::size_t n_groups = groups.size(), n_words = words.size();
  // best[i][j]: how many phonemes the best pairs have of groups from i on and words from j on.
  std::vector<std::vector<std::size_t>> best(n_groups + 1, std::vector<std::size_t>(n_words + 1));
  for (std::size_t i = n_groups; i-- > 0;) {
    for (std::size_t j = n_words; j-- > 0;) {
      const auto& sound = alone[j];
      best[i][j] = std::max(best[i + 1][j], best[i][j + 1]);
      if (sound.empty() || sound.size() > n_groups - i ||
          !std::equal(sound.begin(), sound.end(), sounds.begin() + static_cast<std::ptrdiff_t>(i))) {
        continue;
      }
      std::size_t length = best[i + sound.size()][j + 1];
      for (const auto& part : sound) length += part.size();
      best[i][j] = std::max(best[i][j], length);
    }
  }
  std::vector<Anchor> anchors;
  for (std::size_t i = 0, j = 0; i < n_groups && j < n_words;) {
    if (best[i][j] == best[i][j + 1]) {
      ++j;
    } else if (best[i][j] == best[i + 1][j]) {
      ++i;
    } else {
      anchors.push_back({i, i + alone[j].size(), j});
      i += alone[j].size();
      ++j;
    }
  }
  return anchors;
}

struct Stretch {
  std::size_t group_begin, group_end, word_begin, word_end;
};

/// Groups and words cut where both have the same sound, so that only what lies between is compared in detail.
std::vector<Stretch> find_stretches(const std::vector<std::u32string>& groups, const std::vector<std::u32string>& words,
                                    const std::vector<bool>& joined) {
  std::vector<Stretch> stretches;
  std::vector<Anchor> anchors = find_anchors(groups, words, joined);
  anchors.push_back({groups.size(), groups.size(), words.size()});
  std::size_t group = 0, word = 0;
  for (const auto& [begin, end, anchor] : anchors) {
    bool has_sound = false;
    for (std::size_t j = word; j < anchor; ++j) has_sound |= !words[j].empty();
    // Words without a sound, or a sound without words: the anchors are wrong.
    if ((begin > group) != has_sound) return {{0, groups.size(), 0, words.size()}};
    if (begin > group || anchor > word) stretches.push_back({group, begin, word, anchor});
    if (anchor < words.size()) stretches.push_back({begin, end, anchor, anchor + 1});
    group = end;
    word = anchor + 1;
  }
  return stretches;
}

/// The global alignment of least cost (Needleman and Wunsch 1970): for each character its partner's index, or -1.
std::vector<int> match(std::u32string_view phrase, std::u32string_view letters) {
  enum Move : std::uint8_t { kPair, kUp, kAcross };
  const std::size_t n = phrase.size(), m = letters.size();
  std::vector<int> row(m + 1), next(m + 1);
  for (std::size_t j = 0; j < m; ++j) row[j + 1] = row[j] + gap(letters[j]);
  std::vector<std::uint8_t> moves(n * (m + 1));
  for (std::size_t i = 0; i < n; ++i) {
    const int own_gap = gap(phrase[i]);
    std::uint8_t* move = &moves[i * (m + 1)];
    next[0] = row[0] + own_gap;
    move[0] = kUp;
    for (std::size_t j = 0; j < m; ++j) {
      int best = row[j] + difference(phrase[i], letters[j]);
      std::uint8_t step = kPair;
      if (row[j + 1] + own_gap < best) {
        best = row[j + 1] + own_gap;
        step = kUp;
      }
      if (next[j] + gap(letters[j]) < best) {
        best = next[j] + gap(letters[j]);
        step = kAcross;
      }
      next[j + 1] = best;
      move[j + 1] = step;
    }
    std::swap(row, next);
  }
  std::vector<int> partners(n, -1);
  for (std::size_t i = n, j = m; i > 0;) {
    const std::uint8_t step = moves[(i - 1) * (m + 1) + j];
    if (step == kAcross) {
      --j;
      continue;
    }
    --i;
    if (step == kPair) partners[i] = static_cast<int>(--j);
  }
  return partners;
}

int next_owner(std::u32string_view phrase, const std::vector<int>& owners, std::size_t start, int fallback) {
  for (std::size_t i = start + 1; i < phrase.size() && phrase[i] != U' '; ++i) {
    if (owners[i] >= 0) return owners[i];
  }
  return fallback;
}

/// Gives each character an owner: a stress mark goes with its syllable, a lone phoneme with its group.
void spread(std::u32string_view phrase, std::vector<int>& owners) {
  for (std::size_t i = 0; i < phrase.size(); ++i) {
    if (is_stress(phrase[i]) || phrase[i] == U' ') owners[i] = kNobody;
  }
  const auto first = std::find_if(owners.begin(), owners.end(), [](int owner) { return owner >= 0; });
  int last = first == owners.end() ? 0 : *first;
  bool in_group = false;
  for (std::size_t i = 0; i < phrase.size(); ++i) {
    if (phrase[i] == U' ') {
      in_group = false;
      continue;
    }
    if (owners[i] < 0) owners[i] = is_stress(phrase[i]) || !in_group ? next_owner(phrase, owners, i, last) : last;
    in_group = true;
    last = owners[i];
  }
}

/// The word of each character of `phrase`; never decreasing.
std::vector<int> find_owners(std::u32string_view phrase, const std::vector<std::u32string>& words,
                             const std::vector<bool>& joined) {
  std::u32string letters;
  std::vector<int> word_of;
  for (std::size_t index = 0; index < words.size(); ++index) {
    if (!words[index].empty() && !letters.empty() && !joined[index]) {
      letters.push_back(U' ');
      word_of.push_back(static_cast<int>(index));
    }
    letters += words[index];
    word_of.insert(word_of.end(), words[index].size(), static_cast<int>(index));
  }
  if (letters.empty()) return std::vector<int>(phrase.size(), 0);
  std::vector<int> owners = match(phrase, letters);
  for (int& owner : owners) owner = owner >= 0 ? word_of[static_cast<std::size_t>(owner)] : kNobody;
  spread(phrase, owners);
  return owners;
}

SpanList align_stretch(std::u32string_view phrase, const std::vector<std::u32string>& words, const std::vector<bool>& joined) {
  if (words.size() == 1) return {{0, phrase.size()}};
  const std::vector<int> owners = find_owners(phrase, words, joined);
  SpanList spans;
  std::size_t position = 0;
  for (std::size_t word = 0; word < words.size(); ++word) {
    std::size_t begin = phrase.size(), end = 0;
    for (std::size_t i = 0; i < phrase.size(); ++i) {
      if (owners[i] != static_cast<int>(word) || phrase[i] == U' ') continue;
      begin = std::min(begin, i);
      end = i + 1;
    }
    if (end == 0) begin = end = position;
    spans.emplace_back(begin, end);
    position = end;
  }
  return spans;
}

}  // namespace

SpanList align_words(std::u32string_view phrase, const std::vector<std::u32string>& words, const std::vector<bool>& joined) {
  const auto groups = phrase.empty() ? std::vector<std::u32string>{} : split(phrase);
  // Where no word becomes more groups, equal numbers mean one group a word.
  const bool is_plain =
      groups.size() == words.size() && std::find(joined.begin(), joined.end(), true) == joined.end() &&
      std::all_of(words.begin(), words.end(), [](const auto& w) { return !w.empty() && w.find(U' ') == w.npos; });
  if (is_plain) return group_spans(groups);
  if (phrase.size() <= kShort) return align_stretch(phrase, words, joined);
  const SpanList group_places = group_spans(groups);
  SpanList spans;
  for (const auto& [group_begin, group_end, word_begin, word_end] : find_stretches(groups, words, joined)) {
    const std::size_t offset = group_begin < groups.size() ? group_places[group_begin].first : phrase.size();
    const std::size_t end = group_end > group_begin ? group_places[group_end - 1].second : offset;
    const std::vector<std::u32string> part(words.begin() + static_cast<std::ptrdiff_t>(word_begin),
                                           words.begin() + static_cast<std::ptrdiff_t>(word_end));
    const std::vector<bool> part_joined(joined.begin() + static_cast<std::ptrdiff_t>(word_begin),
                                        joined.begin() + static_cast<std::ptrdiff_t>(word_end));
    for (const auto& [a, b] : align_stretch(phrase.substr(offset, end - offset), part, part_joined)) {
      spans.emplace_back(offset + a, offset + b);
    }
  }
  return spans;
}

}  // namespace koe::text
