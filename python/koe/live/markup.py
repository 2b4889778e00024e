# SPDX-License-Identifier: Apache-2.0
"""What a language model writes, as text to be spoken: without Markdown's marks, code blocks and addresses.

The text may come in parts of any size. Each decision waits until no later character can change it, and none needs more
than a line's beginning or some hundred characters, so that the result never depends on how the text was cut.
"""

import html
import re
import string
import unicodedata
from dataclasses import dataclass, field

from koe.errors import InvalidRequestError
from koe.prosody import LONGEST_TAG, TAG, Tag, read_tag

_LONGEST_RUN = 64
_LONGEST_LABEL = 300
_LONGEST_TARGET = 2000
_LONGEST_RULE = 500

_WORD = re.compile(r"[^\W_]+")
_SPACES = re.compile(r"[ \t]+")
_RULE = re.compile(r"[ \t]*(?:([-*_=])(?:[ \t]*\1){2,}|\|?[ \t:|]*-{2,}[ \t:|-]*)[ \t]*")
_RULE_PREFIX = re.compile(r"[ \t|:=*_-]*")
_HEADING = re.compile(r"#{1,6}[ \t]")
_HASHES = re.compile(r"#{1,7}")
_BULLET = re.compile(r"[-*+•][ \t](?:\[[ xX]\][ \t])?")
_TASK_PREFIX = re.compile(r"[-*+•][ \t](?:\[(?:[ xX](?:\][ \t]?)?)?)?")
_FENCE = re.compile(r"`{3,}|~{3,}")
_LABEL = re.compile(r"\[[^\[\]\n]*")
_TARGET_MARK = re.compile(r"[()\[\]\n]")
_PRONUNCIATION = re.compile(r"\[[^\[\]\n]+\]\(/[^/\n]*/\)")
_HTML = re.compile(r"</?[A-Za-z][^<>\n]*>|<!--|<!\[CDATA\[")
_HTML_PREFIX = re.compile(r"<(?:/?(?:[A-Za-z][^<>\n]*)?|!-?|!\[?C?D?A?T?A?)")
_BREAKS = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|h[1-6]|table|blockquote|pre)\b", re.IGNORECASE)
_MAIL_PREFIX = re.compile(r"<[^<>\s]*")
_AUTOLINK = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]*:[^<>\s]*|[^<>\s@]+@[^<>\s@]+)>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_PREFIX = re.compile(r"&(?:#(?:\d{0,7}|[xX][0-9A-Fa-f]{0,6})?|[A-Za-z][A-Za-z0-9]{0,31})?")
_ADDRESS_STARTS = ("http://", "https://", "ftp://", "www.")
_ADDRESS = re.compile(r"[^\s<>\"`\[\]{}|\\^“”]*")
_HOST = re.compile(r"(?:[A-Za-z]+://)?(?:[^/?#\s@]*@)?(?:www\.)?([^/?#:\s]*)", re.IGNORECASE)
_PUNCTUATION = frozenset(string.punctuation)


@dataclass(slots=True)
class CleanText:
    """Text to be spoken.

    Attributes:
        text: the next characters.
        origins: for each of them, where it comes from in the input, in characters.
        tags: prosody tags, each with the number of characters of `text` before it.
        refused: tags with values out of range, as written and why; they are without effect.
    """

    text: str = ""
    origins: list[int] = field(default_factory=list)
    tags: list[tuple[int, Tag]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


class _UndecidedError(Exception):
    """What is there can't be judged before more has come."""


class MarkupReader:
    """Takes Markdown bit by bit and gives the text to be spoken.

    Emphasis marks, heading and list marks, rules, HTML tags and table lines go; blocks of code are left out; links and
    images are read by their text, bare addresses by their host; entities are decoded; `[word](/fəˈnimz/)` stays as is,
    and prosody tags such as `[pause:0.5s]` are taken out and reported. Headings, list items and table rows end with a
    paragraph. Control characters vanish. Not for two threads at once.
    """

    def __init__(self, markdown: bool = True) -> None:
        """
        Args:
            markdown: False takes out only prosody tags and control characters.
        """
        self._markdown = markdown
        self._restart()

    def _restart(self) -> None:
        self._text = ""
        self._base = 0
        self._final = False
        self._at_line_start = True
        self._before = "\n"
        self._fence = ""
        self._fence_line = False
        self._in_comment = False
        self._code = 0
        self._line = ""  # what the line is: "heading", "list", "table", or prose
        self._was_list = False
        self._link_end: tuple[int, int] | None = None  # where a link's label ends, and where the link does
        self._tail = "\n\n"  # the last two characters given out
        self._clean = CleanText()

    def push(self, text: str) -> CleanText:
        """Takes the next part of the input; gives what is certain now."""
        self._text += text
        return self._read()

    def flush(self) -> CleanText:
        """The input is over: gives what is left, and starts anew."""
        self._final = True
        clean = self._read()
        self._restart()
        return clean

    @property
    def pending(self) -> int:
        """How many characters are held back."""
        return len(self._text)

    def _read(self) -> CleanText:
        self._clean = clean = CleanText()
        pieces: list[str] = []
        self._pieces = pieces
        self._length = 0
        i = 0
        try:
            while i < len(self._text):
                i = self._step(i)
        except _UndecidedError:
            pass
        self._base += i
        self._text = self._text[i:]
        clean.text = "".join(pieces)
        return clean

    # --- giving out ---

    def _emit(self, text: str, start: int, each: bool = False) -> None:
        """Gives out text that comes from index `start`; with `each`, character by character from there on."""
        if not text:
            return
        self._pieces.append(text)
        origin = self._base + start
        self._clean.origins += range(origin, origin + len(text)) if each else [origin] * len(text)
        self._length += len(text)
        self._tail = (self._tail + text)[-2:]

    def _end_paragraph(self, start: int) -> None:
        if self._tail != "\n\n":
            self._emit("\n" if self._tail[-1] == "\n" else "\n\n", start)

    # --- looking ahead ---

    def _need(self, i: int) -> None:
        """Index i must be there, unless the input is over."""
        if i >= len(self._text) and not self._final:
            raise _UndecidedError

    def _char(self, i: int) -> str:
        self._need(i)
        return self._text[i] if i < len(self._text) else ""

    def _run(self, i: int) -> int:
        """The end of a run of the same character, which counts up to a limit."""
        end = i + 1
        limit = i + _LONGEST_RUN
        while end < limit and self._char(end) == self._text[i]:
            end += 1
        return end

    # --- steps: each takes an index and gives the next ---

    def _step(self, i: int) -> int:
        text = self._text
        if self._fence:
            return self._skip_code_line(i)
        if self._in_comment:
            return self._skip_comment(i)
        if self._markdown and self._at_line_start:
            j = self._begin_line(i)
            if j != i or not self._at_line_start:
                return j
        if self._link_end and self._base + i >= self._link_end[0]:
            is_here, end = self._base + i == self._link_end[0], self._link_end[1] - self._base
            self._link_end = None
            if is_here:
                self._before = ")"
                return end
        c = text[i]
        match = _WORD.match(text, i)
        if match is not None:
            return self._word(i, match.end())
        special = _PLAIN.get(c) or (_MARKS.get(c) if self._markdown else None)
        if special is not None:
            return special(self, i)
        return self._other(i)

    def _pass(self, i: int, end: int) -> int:
        """Gives out text[i:end] as it is."""
        self._emit(self._text[i:end], i, each=True)
        self._before = self._text[end - 1]
        return end

    def _drop(self, i: int, end: int) -> int:
        self._before = self._text[end - 1]
        return end

    def _word(self, i: int, end: int) -> int:
        text = self._text
        if self._markdown and text[i] in "hHwWfF" and not self._before.isalnum():
            start = text[i : i + 8].lower()
            for address in _ADDRESS_STARTS:
                if start.startswith(address):
                    return self._address(i)
                if address.startswith(start) and not self._final:
                    raise _UndecidedError
        return self._pass(i, end)

    def _address(self, i: int) -> int:
        match = _ADDRESS.match(self._text, i, i + _LONGEST_TARGET)
        assert match is not None
        end = match.end()
        if end < i + _LONGEST_TARGET:
            self._need(end)
        while end > i:
            last = self._text[end - 1]
            is_open = last == ")" and self._text.count("(", i, end) >= self._text.count(")", i, end)
            if last not in ".,;:!?'*_~)…，。！？；：、）»’" or is_open:
                break
            end -= 1
        return self._host(i, end)

    def _host(self, i: int, end: int) -> int:
        """Reads an address by its host."""
        match = _HOST.match(self._text, i, end)
        assert match is not None
        if match[1]:
            self._emit(match[1], match.start(1), each=True)
        self._before = self._text[end - 1]
        return end

    def _newline(self, i: int) -> int:
        end = i + 1
        if self._text[i] == "\r" and self._char(end) == "\n":
            end += 1
        if self._markdown and self._tail[-1].isalnum() and self._ends_paragraph(end):
            self._emit(".", i)  # nothing else would make the voice fall and pause
        self._emit("\n", i)
        if self._line in ("heading", "table"):
            self._end_paragraph(i)
        if self._before == "\n":
            self._code = 0
        self._was_list = self._line == "list"
        self._line = ""
        self._at_line_start = True
        self._before = "\n"
        return end

    def _ends_paragraph(self, i: int) -> bool:
        """Whether a line that ends before index i is the last of its paragraph, item, heading or row."""
        if self._line in ("heading", "table"):
            return True
        j = i
        while j - i < _LONGEST_RUN and self._char(j) in (" ", "\t"):
            j += 1
        following = self._char(j)
        if following in ("\r", "\n") and following:
            return True
        if following and following in "-*+•":
            return self._char(j + 1) in (" ", "\t")
        return self._line == "list" and following != "" and (j == i or following.isdigit())

    def _begin_line(self, i: int) -> int:
        """What stands at a line's beginning; `i` itself where that is nothing special."""
        text = self._text
        c = text[i]
        if c in " \t":
            match = _SPACES.match(text, i)
            assert match is not None
            if self._was_list:
                self._line = "list"  # an indented line goes on with the item
            return self._pass(i, match.end())
        rule = self._rule(i)
        if rule:
            return rule
        if c in "\r\n":
            self._at_line_start = False
            return i
        if self._was_list and self._before == "\n":
            self._end_paragraph(i)
        if c in "`~":
            fence = self._open_fence(i)
            if fence:
                return fence
        if c == ">":
            self._was_list = False
            return self._drop(i, i + 1)
        if c == "#":
            match = _HASHES.match(text, i)
            assert match is not None
            if len(match[0]) < 7:
                self._need(match.end())
            heading = _HEADING.match(text, i)
            if heading:
                self._line = "heading"
                self._end_paragraph(i)
                self._at_line_start = False
                return self._drop(i, heading.end())
        if c in "-*+•":
            end = self._bullet(i)
            if end:
                return end
        if c == "|":
            self._line = "table"
            self._at_line_start = False
            return self._drop(i, i + 1)
        self._at_line_start = False
        return i

    def _rule(self, i: int) -> int:
        """The end of a line that is only a rule or an underline; 0 where it is none."""
        text = self._text
        if text[i] not in "|:=*_-":
            return 0
        prefix = _RULE_PREFIX.match(text, i, i + _LONGEST_RULE)
        assert prefix is not None
        end = prefix.end()
        if end < i + _LONGEST_RULE and self._char(end) not in ("", "\r", "\n"):
            return 0
        if not _RULE.fullmatch(prefix[0]):
            return 0
        self._end_paragraph(i)
        self._before = "-"
        return end

    def _bullet(self, i: int) -> int:
        text = self._text
        self._need(i + 1)
        if self._char(i + 1) not in (" ", "\t"):
            return 0
        prefix = _TASK_PREFIX.match(text, i)
        assert prefix is not None
        self._need(prefix.end())
        bullet = _BULLET.match(text, i)
        assert bullet is not None
        self._line = "list"
        self._was_list = False
        self._end_paragraph(i)
        self._at_line_start = False
        return self._drop(i, bullet.end())

    def _open_fence(self, i: int) -> int:
        end = self._run(i)
        mark = self._text[i:end]
        if not _FENCE.fullmatch(mark):
            return 0
        # With the same mark later in its line it is a code span.
        stop = end
        limit = end + _LONGEST_LABEL
        while mark[0] == "`" and stop < limit and self._char(stop) not in ("", "\n", "`"):
            stop += 1
        if mark[0] == "`" and stop < limit and self._char(stop) == "`":
            return 0
        self._fence = mark
        self._end_paragraph(i)
        # The rest of the line goes with the code.
        self._fence_line = False
        return self._drop(i, end)

    def _skip_code_line(self, i: int) -> int:
        """Leaves out a part of a code block, up to a line's end or its closing fence."""
        text = self._text
        if self._fence_line:
            spaces = _SPACES.match(text, i, i + _LONGEST_RUN)
            j = spaces.end() if spaces else i
            if j - i < _LONGEST_RUN and self._char(j) == self._fence[0]:
                end = j
                while end - j < _LONGEST_RUN and self._char(end) == self._fence[0]:
                    end += 1
                rest = _SPACES.match(text, end, end + _LONGEST_RUN)
                stop = rest.end() if rest else end
                if stop - end < _LONGEST_RUN:
                    self._need(stop)
                if end - j >= len(self._fence) and self._char(stop) in ("", "\r", "\n"):
                    self._fence = ""
                    self._before = "`"
                    self._at_line_start = False
                    return stop
            self._fence_line = False
        end = text.find("\n", i)
        if end < 0:
            return len(text)
        self._fence_line = True
        return end + 1

    def _skip_comment(self, i: int) -> int:
        end = self._text.find("-->", i)
        if end >= 0:
            self._in_comment = False
            return self._drop(i, end + 3)
        # The last two characters may be the beginning of its end.
        stop = len(self._text) if self._final else max(i, len(self._text) - 2)
        if stop == i:
            raise _UndecidedError
        return stop

    def _escape(self, i: int) -> int:
        following = self._char(i + 1)
        if self._code or following not in _PUNCTUATION or not following:
            return self._pass(i, i + 1)
        return self._pass(i + 1, i + 2)

    def _backticks(self, i: int) -> int:
        end = self._run(i)
        if self._code == 0:
            self._code = end - i
        elif self._code == end - i:
            self._code = 0
        return self._drop(i, end)

    def _emphasis(self, i: int) -> int:
        """`*`, `_` and `~`: marks beside a word are markup, others are what they are."""
        text = self._text
        end = self._run(i)
        after = self._char(end)
        before = self._before
        is_free = before.isspace() and (not after or after.isspace())
        if text[i] == "*":
            is_literal = is_free or (before.isdigit() and after.isdigit())
        elif text[i] == "_":
            is_literal = is_free or (before.isalnum() and after.isalnum())
        else:
            is_literal = is_free or end - i < 2
        if self._code or is_literal:
            return self._pass(i, end)
        return self._drop(i, end)

    def _bracket(self, i: int) -> int:
        text = self._text
        # A tag, in plain text too.
        tag = TAG.match(text, i, i + LONGEST_TAG)
        if tag and not self._code:
            self._take_tag(tag)
            return self._drop(i, tag.end())
        label = _LABEL.match(text, i, i + _LONGEST_LABEL)
        assert label is not None
        close = label.end()
        if close - i == _LONGEST_LABEL:
            return self._pass(i, i + 1)
        if self._char(close) != "]" or self._code:
            return self._pass(i, i + 1)
        if not self._markdown:
            return self._pass(i, i + 1)
        if close - i > 1 and text[i + 1] == "^":
            return self._drop(i, close + 1)
        end = self._target(close + 1)
        if end == 0 or close == i + 1:
            return self._pass(i, i + 1)
        pronunciation = _PRONUNCIATION.match(text, i, end)
        if pronunciation:
            return self._pass(i, pronunciation.end())
        self._link_end = (self._base + close, self._base + end)
        self._before = " "
        return i + 1

    def _target(self, i: int) -> int:
        """The end of a link's target, "(…)" or "[…]", at index i; 0 where there is none."""
        text = self._text
        opening = self._char(i)
        if opening not in ("(", "["):
            return 0
        closing = ")" if opening == "(" else "]"
        if opening == "(" and self._char(i + 1) == "/":
            # A pronunciation has no slash inside but may have brackets.
            slash = i + 2
            while slash < i + _LONGEST_LABEL and self._char(slash) not in ("", "/", "\n"):
                slash += 1
            if slash < i + _LONGEST_LABEL and self._char(slash) == "/" and self._char(slash + 1) == ")":
                return slash + 2
        limit = i + _LONGEST_TARGET
        depth = 0
        j = i
        while True:
            match = _TARGET_MARK.search(text, j, limit)
            if match is None:
                if len(text) < limit:
                    self._need(len(text))
                return 0
            if match[0] == opening:
                depth += 1
            elif match[0] == closing:
                depth -= 1
            else:
                return 0  # a line's end, or a bracket of the other kind
            j = match.end()
            if depth == 0:
                return j

    def _take_tag(self, match: "re.Match[str]") -> None:
        try:
            self._clean.tags.append((self._length, read_tag(match)))
        except InvalidRequestError as error:
            self._clean.refused.append((match[0], str(error)))

    def _image(self, i: int) -> int:
        if self._code or self._char(i + 1) != "[":
            return self._pass(i, i + 1)
        label = _LABEL.match(self._text, i + 1, i + 1 + _LONGEST_LABEL)
        assert label is not None
        close = label.end()
        if close - i - 1 == _LONGEST_LABEL or self._char(close) != "]" or self._target(close + 1) == 0:
            return self._pass(i, i + 1)
        if close == i + 2:
            return self._drop(i, self._target(close + 1))
        return self._drop(i, i + 1)

    def _angle(self, i: int) -> int:
        text = self._text
        if self._code:
            return self._pass(i, i + 1)
        limit = i + _LONGEST_LABEL
        link = _AUTOLINK.match(text, i, limit)
        if link:
            if "://" in link[1]:
                self._host(i + 1, link.end() - 1)
            else:
                start = link.start(1) + len("mailto:") * link[1].lower().startswith("mailto:")
                self._emit(text[start : link.end(1)], start, each=True)
            return self._drop(i, link.end())
        tag = _HTML.match(text, i, limit)
        if tag:
            if tag[0] == "<!--":
                self._in_comment = True
            elif _BREAKS.match(tag[0]):
                self._emit("\n", i)
            return self._drop(i, tag.end())
        prefix = _HTML_PREFIX.match(text, i, limit)
        if prefix and prefix.end() < limit:
            self._need(prefix.end())
        mail = _MAIL_PREFIX.match(text, i, limit)
        if mail and mail.end() < limit:
            self._need(mail.end())
        return self._pass(i, i + 1)

    def _entity(self, i: int) -> int:
        match = _ENTITY.match(self._text, i)
        if match and not self._code:
            text = html.unescape(match[0])
            if text != match[0]:
                self._emit("".join(c for c in text if unicodedata.category(c)[0] != "C"), i)
                self._before = text[-1]
                return match.end()
        prefix = _ENTITY_PREFIX.match(self._text, i)
        assert prefix is not None
        if not match and not self._code and prefix.end() - i < 33:
            self._need(prefix.end())
        return self._pass(i, i + 1)

    def _pipe(self, i: int) -> int:
        if self._line != "table" or self._code:
            return self._pass(i, i + 1)
        spaces = _SPACES.match(self._text, i + 1, i + 1 + _LONGEST_RUN)
        end = spaces.end() if spaces else i + 1
        if end - i <= _LONGEST_RUN:
            self._need(end)
        if self._char(end) not in ("", "\r", "\n", "|"):
            self._emit(", ", i)
        return self._drop(i, end)

    def _space(self, i: int) -> int:
        spaces = _SPACES.match(self._text, i, i + _LONGEST_RUN)
        assert spaces is not None
        if self._markdown and self._line == "table":
            if spaces.end() - i < _LONGEST_RUN:
                self._need(spaces.end())
            if self._tail[-1] == "\n" or self._char(spaces.end()) == "|":
                return self._drop(i, spaces.end())
        return self._pass(i, spaces.end())

    def _other(self, i: int) -> int:
        c = self._text[i]
        if "\ud800" <= c <= "\udbff":
            low = self._char(i + 1)
            if "\udc00" <= low <= "\udfff" and low:
                # JSON decoders give some characters in two halves.
                self._emit((c + low).encode("utf-16", "surrogatepass").decode("utf-16"), i)
                return self._drop(i, i + 2)
        if "\ud800" <= c <= "\udfff":
            self._emit("\N{REPLACEMENT CHARACTER}", i)
            return self._drop(i, i + 1)
        if unicodedata.category(c) == "Cc" and c not in "\x0b\x0c\x85":
            return i + 1
        return self._pass(i, i + 1)


_PLAIN = {
    "\n": MarkupReader._newline,
    "\r": MarkupReader._newline,
    " ": MarkupReader._space,
    "\t": MarkupReader._space,
    "[": MarkupReader._bracket,
}
_MARKS = {
    "\\": MarkupReader._escape,
    "`": MarkupReader._backticks,
    "*": MarkupReader._emphasis,
    "_": MarkupReader._emphasis,
    "~": MarkupReader._emphasis,
    "!": MarkupReader._image,
    "<": MarkupReader._angle,
    "&": MarkupReader._entity,
    "|": MarkupReader._pipe,
}
