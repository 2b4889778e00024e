# SPDX-License-Identifier: Apache-2.0
"""Which phonemes of a phrase belong to which of its words.

espeak-ng joins words ("of the" is one group of phonemes) and splits them ("1984" is three), so a phrase's groups
are not its words. The phrase is aligned, phoneme by phoneme, with its words spoken one by one.
"""

_STRESS = frozenset("ˈˌ")
_NO_STRESS = str.maketrans("", "", "ˈˌ")
_VOWELS = frozenset("aeiouæɑɐɒɔəɘɛɜɞɪɨɯɵøœʉʊʌʏyᵊᵻAIOQWY")
# Up to this length the detailed comparison of all with all is cheap.
_SHORT = 48
# Costs of leaving a phoneme, a stress mark or a space without a partner; a pair of unlike kinds never pays.
_GAP, _STRESS_GAP, _SPACE_GAP, _FORBIDDEN = 2, 0, 1, 100


def _gap(phoneme: str) -> int:
    if phoneme in _STRESS:
        return _STRESS_GAP
    return _SPACE_GAP if phoneme == " " else _GAP


def _difference(a: str, b: str) -> int:
    if a == b:
        return 0
    if a == " " or b == " " or (a in _STRESS) != (b in _STRESS):
        return _FORBIDDEN
    if a in _STRESS:
        return 0
    return 2 if (a in _VOWELS) == (b in _VOWELS) else 3


def align_words(phrase: str, words: list[str], joined: list[bool]) -> list[tuple[int, int]]:
    """The span in `phrase` of each word.

    Args:
        phrase: phonemes of the phrase, single spaces between groups.
        words: each word's phonemes when spoken alone; "" for a word without sound.
        joined: for each word, whether it follows the one before without a space.

    Returns:
        For each word a half-open span: in order, without overlap, without spaces at the edges, and together covering
        every phoneme; empty for a word that nothing was found for.
    """
    groups = phrase.split(" ") if phrase else []
    # Where no word becomes more groups, equal numbers mean one group a word.
    if len(groups) == len(words) and not any(joined) and all(w and " " not in w for w in words):
        return _group_spans(groups)
    if len(phrase) <= _SHORT:
        return _align_stretch(phrase, words, joined)
    spans: list[tuple[int, int]] = []
    for group_start, group_end, word_start, word_end in _stretches(groups, words, joined):
        offset = len(" ".join(groups[:group_start])) + (group_start > 0)
        stretch = " ".join(groups[group_start:group_end])
        part = slice(word_start, word_end)
        spans += [(offset + a, offset + b) for a, b in _align_stretch(stretch, words[part], joined[part])]
    return spans


def _stretches(groups: list[str], words: list[str], joined: list[bool]) -> list[tuple[int, int, int, int]]:
    """Groups and words cut where both have the same sound, so that only what lies between is compared in detail."""
    stretches: list[tuple[int, int, int, int]] = []
    group = word = 0
    n_groups, n_words = len(groups), len(words)
    for start, end, anchor in [*_anchors(groups, words, joined), (n_groups, n_groups, n_words)]:
        if (start > group) != any(words[word:anchor]):
            # Words without a sound, or a sound without words: the anchors are wrong.
            return [(0, n_groups, 0, n_words)]
        if start > group or anchor > word:
            stretches.append((group, start, word, anchor))
        if anchor < n_words:
            stretches.append((start, end, anchor, anchor + 1))
        group, word = end, anchor + 1
    return stretches


def _anchors(groups: list[str], words: list[str], joined: list[bool]) -> list[tuple[int, int, int]]:
    """The longest common subsequence of words and runs of groups, by phonemes without stress.

    Returns:
        First group, end of the groups, and word.
    """
    sounds = [group.translate(_NO_STRESS) for group in groups]
    glued = [*joined[1:], False]
    alone = [
        [] if before or after else word.translate(_NO_STRESS).split(" ")
        for word, before, after in zip(words, joined, glued, strict=True)
    ]
    # best[i][j]: how many phonemes the best pairs have of groups from i on and words from j on.
    best = [[0] * (len(words) + 1) for _ in range(len(groups) + 1)]
    for i in range(len(groups) - 1, -1, -1):
        first, row, below = sounds[i], best[i], best[i + 1]
        for j in range(len(words) - 1, -1, -1):
            sound = alone[j]
            row[j] = max(below[j], row[j + 1])
            if sound and sound[0] == first and sound == sounds[i : i + len(sound)]:
                row[j] = max(row[j], best[i + len(sound)][j + 1] + sum(map(len, sound)))
    anchors = []
    i = j = 0
    while i < len(groups) and j < len(words):
        if best[i][j] == best[i][j + 1]:
            j += 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            anchors.append((i, i + len(alone[j]), j))
            i, j = i + len(alone[j]), j + 1
    return anchors


def _align_stretch(phrase: str, words: list[str], joined: list[bool]) -> list[tuple[int, int]]:
    if len(words) == 1:
        return [(0, len(phrase))]
    owners = _owners(phrase, words, joined)
    spans: list[tuple[int, int]] = []
    position = 0
    for word in range(len(words)):
        mine = [i for i, owner in enumerate(owners) if owner == word and phrase[i] != " "]
        if mine:
            spans.append((mine[0], mine[-1] + 1))
            position = mine[-1] + 1
        else:
            spans.append((position, position))
    return spans


def _group_spans(groups: list[str]) -> list[tuple[int, int]]:
    spans = []
    start = 0
    for group in groups:
        spans.append((start, start + len(group)))
        start += len(group) + 1
    return spans


def _owners(phrase: str, words: list[str], joined: list[bool]) -> list[int]:
    """The word of each character of `phrase`; never decreasing."""
    letters: list[str] = []
    word_of: list[int] = []
    for index, word in enumerate(words):
        if word and letters and not joined[index]:
            letters.append(" ")
            word_of.append(index)
        letters += word
        word_of += [index] * len(word)
    if not letters:
        return [0] * len(phrase)
    matched = _match(phrase, letters)
    return _spread(phrase, [word_of[j] if j >= 0 else -1 for j in matched])


def _match(phrase: str, letters: list[str]) -> list[int]:
    """The global alignment of least cost (Needleman and Wunsch 1970): for each character its partner's index, or -1."""
    n, m = len(phrase), len(letters)
    gaps = [_gap(b) for b in letters]
    row = [0] * (m + 1)
    for j in range(m):
        row[j + 1] = row[j] + gaps[j]
    moves: list[bytearray] = []
    for i in range(n):
        a = phrase[i]
        a_gap = _gap(a)
        new = [row[0] + a_gap]
        move = bytearray(m + 1)
        move[0] = 1
        left = new[0]
        for j in range(m):
            best = row[j] + _difference(a, letters[j])
            step = 0
            up = row[j + 1] + a_gap
            if up < best:
                best, step = up, 1
            across = left + gaps[j]
            if across < best:
                best, step = across, 2
            new.append(best)
            move[j + 1] = step
            left = best
        row = new
        moves.append(move)
    partners = [-1] * n
    i, j = n, m
    while i > 0:
        step = moves[i - 1][j]
        if step == 2:
            j -= 1
        else:
            i -= 1
            if step == 0:
                j -= 1
                partners[i] = j
    return partners


def _spread(phrase: str, owners: list[int]) -> list[int]:
    """Gives each character an owner: a stress mark goes with its syllable, a lone phoneme with its group."""
    spread = [-1 if c in _STRESS or c == " " else owner for c, owner in zip(phrase, owners, strict=True)]
    last = next((owner for owner in spread if owner >= 0), 0)
    in_group = False
    for i, character in enumerate(phrase):
        if character == " ":
            in_group = False
        elif spread[i] < 0 and (character in _STRESS or not in_group):
            spread[i] = _next_owner(phrase, spread, i, last)
        elif spread[i] < 0:
            spread[i] = last
        if character != " ":
            in_group = True
            last = spread[i]
    return spread


def _next_owner(phrase: str, spread: list[int], start: int, default: int) -> int:
    for i in range(start + 1, len(phrase)):
        if phrase[i] == " ":
            break
        if spread[i] >= 0:
            return spread[i]
    return default
