// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "strings.hpp"

#include "koe/chunker.hpp"
#include "koe/splitter.hpp"
#include "koe/tokenizer.hpp"

namespace py = pybind11;

namespace koe::bindings {
namespace {

using Ids = py::array_t<std::int64_t>;

py::str to_str(char32_t character) {
  return py::reinterpret_steal<py::str>(PyUnicode_FromOrdinal(static_cast<int>(character)));
}

Tokenizer make_tokenizer(const py::dict& vocabulary) {
  std::vector<Tokenizer::Entry> entries;
  for (const auto& [key, value] : vocabulary) {
    if (!PyUnicode_Check(key.ptr()) || PyUnicode_GetLength(key.ptr()) != 1) {
      throw py::value_error("the vocabulary's keys must be single characters, not " + py::repr(key).cast<std::string>());
    }
    entries.push_back({PyUnicode_ReadChar(key.ptr(), 0), value.cast<std::int64_t>()});
  }
  return Tokenizer(entries);
}

/// NumPy array over a vector's memory, without a copy.
py::array_t<std::int64_t> as_array(const std::vector<std::int64_t>& values, const py::object& owner) {
  py::array_t<std::int64_t> array(static_cast<py::ssize_t>(values.size()), values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

void bind_tokenizer(py::module_& m) {
  m.attr("MAX_TOKENS") = kMaxTokens;

  py::class_<Encoding>(m, "Encoding", R"(Token ids of a text. Every character is in it once: as a token, or dropped.)")
      .def_property_readonly(
          "ids", [](const py::object& self) { return as_array(self.cast<const Encoding&>().ids, self); },
          "int64 [n], one a known character; no pads, no limit of length. Read-only view.")
      .def_property_readonly(
          "indices", [](const py::object& self) { return as_array(self.cast<const Encoding&>().indices, self); },
          "int64 [n], for each id the index of its character in the text. Read-only view.")
      .def_property_readonly(
          "dropped",
          [](const Encoding& self) {
            py::list out;
            for (const auto& [character, index] : self.dropped) out.append(py::make_tuple(to_str(character), index));
            return out;
          },
          "The characters that the vocabulary lacks, with their indices in the text.")
      .def("__len__", [](const Encoding& self) { return self.ids.size(); })
      .def("__repr__", [](const Encoding& self) {
        return "<Encoding of " + std::to_string(self.ids.size()) + " tokens, " + std::to_string(self.dropped.size()) +
               " characters dropped>";
      });

  py::class_<Tokenizer>(m, "Tokenizer", R"(Maps phoneme characters to the model's token ids, one character to one id.

Immutable, so safe to share by threads. Where `bytes` are given they are read as UTF-8, with U+FFFD for what is not valid.

Args:
    vocabulary: the id, 0 to 65535, of each character. The pad's character (id 0) is never encoded.

Raises:
    ValueError: no entries, a key that is not one character, or an id out of range.)")
      .def(py::init(&make_tokenizer), py::arg("vocabulary"))
      .def(
          "encode",
          [](const Tokenizer& self, const py::object& text) {
            const std::string utf8 = to_utf8(text);
            const py::gil_scoped_release release;
            return self.encode(utf8);
          },
          py::arg("phonemes"), R"(Gives ids, their characters' indices, and the dropped characters.

Neither pads nor cuts at MAX_TOKENS: that is for `chunk_phonemes` and the acoustic model.)")
      .def(
          "count",
          [](const Tokenizer& self, const py::object& text) {
            const std::string utf8 = to_utf8(text);
            const py::gil_scoped_release release;
            return self.count(utf8);
          },
          py::arg("phonemes"), "How many ids `encode` would give.")
      .def(
          "decode",
          [](const Tokenizer& self, const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>& ids) {
            if (ids.ndim() != 1) throw py::value_error("ids must have one dimension, not " + std::to_string(ids.ndim()));
            return self.decode({ids.data(), static_cast<std::size_t>(ids.size())});
          },
          py::arg("ids"), R"(The characters of the ids, pads left out.

Raises:
    ValueError: an id that the vocabulary lacks.)")
      .def("__contains__",
           [](const Tokenizer& self, const py::str& character) {
             return PyUnicode_GetLength(character.ptr()) == 1 && self.id(PyUnicode_ReadChar(character.ptr(), 0)) != 0;
           })
      .def("__len__", [](const Tokenizer& self) { return self.vocabulary().size(); })
      .def_property_readonly(
          "vocabulary",
          [](const Tokenizer& self) {
            py::dict out;
            for (const auto& [character, id] : self.vocabulary()) out[to_str(character)] = id;
            return out;
          },
          "The vocabulary as given, a new dict.");
}

void bind_chunker(py::module_& m) {
  m.def(
      "chunk_phonemes",
      [](const py::object& sentences, const Tokenizer& tokenizer, std::size_t max_tokens, std::size_t target_tokens) {
        std::vector<std::string> texts;
        if (PyUnicode_Check(sentences.ptr())) {
          texts.push_back(to_utf8(sentences));
        } else {
          for (const auto& sentence : sentences) texts.push_back(to_utf8(py::reinterpret_borrow<py::object>(sentence)));
        }
        std::vector<std::vector<std::tuple<std::size_t, std::size_t, std::size_t>>> out;
        const py::gil_scoped_release release;
        for (const Chunk& chunk : chunk_phonemes(texts, tokenizer, {max_tokens, target_tokens})) {
          auto& pieces = out.emplace_back();
          pieces.reserve(chunk.size());
          for (const auto& [sentence, begin, end] : chunk) pieces.emplace_back(sentence, begin, end);
        }
        return out;
      },
      py::arg("sentences"), py::arg("tokenizer"), py::arg("max_tokens") = ChunkOptions{}.max_tokens,
      py::arg("target_tokens") = ChunkOptions{}.target_tokens, R"(Divides phonemes into chunks for the model.

Breaks are at the ends of sentences, else of clauses, else of words, and inside a word only if it is longer than
`max_tokens`. Chunks are balanced; stubs under 20 tokens are avoided, and those above 400 come only where no good break
is. Where pieces of two sentences meet in a chunk and neither has a space there, put one: it is
counted. Only characters in the vocabulary count.

Args:
    sentences: phonemes of each sentence, or one string.
    tokenizer: knows which characters are tokens.
    max_tokens: the most a chunk may have, 1 to MAX_TOKENS.
    target_tokens: the length that chunks tend to where the text has to be divided.

Returns:
    For each chunk its pieces (index of the sentence, begin, end) in code points. All pieces in order are the input.
    A chunk may have no tokens where the input, or a stretch that fits nowhere else, has none.

Raises:
    ValueError: a limit out of its range.)");
}

std::vector<std::pair<std::size_t, std::size_t>> to_pairs(const std::vector<TextSpan>& spans) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  pairs.reserve(spans.size());
  for (const TextSpan& span : spans) pairs.emplace_back(span.begin, span.end);
  return pairs;
}

void bind_splitter(py::module_& m) {
  m.def(
      "split_sentences",
      [](const py::object& text) {
        const std::string utf8 = to_utf8(text);
        const py::gil_scoped_release release;
        return to_pairs(split_sentences(utf8));
      },
      py::arg("text"), R"(Spans (begin, end) of the sentences, in code points.

They are contiguous and cover the text; spaces lead the sentence after them, those at the end belong to the last.
StreamSplitter says what ends a sentence. Empty text has none.)");
  m.def(
      "split_clauses",
      [](const py::object& text, std::size_t min_chars) {
        const std::string utf8 = to_utf8(text);
        const py::gil_scoped_release release;
        return to_pairs(split_clauses(utf8, min_chars));
      },
      py::arg("text"), py::arg("min_chars") = 1, R"(Spans (begin, end) of the clauses, in code points.

A clause ends where a sentence does, and after , ; : before a space, a closing bracket or a dash.

Args:
    text: what to split.
    min_chars: a clause mark counts once the piece has this many characters.

Raises:
    ValueError: `min_chars` is 0.)");

  py::class_<StreamSplitter>(m, "StreamSplitter", R"(Cuts text that arrives bit by bit into sentences, each once it is certain.

The pieces in order are the whole text, and don't depend on how it was cut into pushes. Spaces and line breaks lead the
piece after them; those at the end of the text are a piece of their own. Only what is ambiguous is held back: "3."
before "14", "Dr." before a name, a stop before a closing quote; never more than `max_chars` and about a thousand characters.

What ends a sentence: . ! ? … and their kin with the closing quotes and brackets after them, not in abbreviations,
initials, numbers, addresses, `[word](/wɜːd/)`, links and `code`; a blank line; the end of a line that is a heading, a
list item or a table row, that ends with a colon, or that is followed by one of those. A single line break in prose is
no end.

Not safe for use by two threads at once.

Args:
    first_clause_min_chars: the first piece may end with a clause once it has this many characters; 0 for sentences only.
    clause_min_chars: the same for every later piece.
    max_chars: a longer piece is cut after a clause in its second half, else before a space, else anywhere.

Raises:
    ValueError: `max_chars` is 0.)")
      .def(py::init([](std::size_t first_clause_min_chars, std::size_t clause_min_chars, std::size_t max_chars) {
             return StreamSplitter({.first_clause_min_chars = first_clause_min_chars,
                                    .clause_min_chars = clause_min_chars,
                                    .max_chars = max_chars});
           }),
           py::kw_only(), py::arg("first_clause_min_chars") = SplitOptions{}.first_clause_min_chars,
           py::arg("clause_min_chars") = SplitOptions{}.clause_min_chars,
           py::arg("max_chars") = SplitOptions{}.max_chars)
      .def(
          "push", [](StreamSplitter& self, const py::object& text) { return self.push(to_utf8(text)); }, py::arg("text"),
          R"(Takes the next part of the text and gives the pieces that are complete now.

Bytes may end within a character; what is not valid UTF-8 becomes U+FFFD.)")
      .def("flush", &StreamSplitter::flush, "The text is over: gives what is left, and starts anew.")
      .def("reset", &StreamSplitter::reset, "Forgets what is held back, and starts anew.")
      .def_property_readonly("pending", &StreamSplitter::pending, "How many characters are held back.");
}

}  // namespace

void bind_text(py::module_& m) {
  bind_tokenizer(m);
  bind_splitter(m);
  bind_chunker(m);
}

}  // namespace koe::bindings
