// SPDX-License-Identifier: Apache-2.0
#include "koe/g2p.hpp"

#include <optional>
#include <tuple>

#include <pybind11/functional.h>
#include <pybind11/stl/filesystem.h>

#include "bindings.hpp"
#include "strings.hpp"

namespace koe::bindings {
namespace {

namespace py = pybind11;

py::tuple to_tuple(const Phonemes& found) {
  py::list words;
  for (const auto& [text_begin, text_end, begin, end] : found.words) {
    words.append(py::make_tuple(text_begin, text_end, begin, end));
  }
  return py::make_tuple(found.phonemes, words, found.dropped);
}

}  // namespace

void bind_g2p(py::module_& m) {
  m.def(
      "apply_phoneme_rules",
      [](const py::object& phonemes, const std::string& language, const std::string& rules) {
        return apply_phoneme_rules(to_utf8(phonemes), language, rules);
      },
      py::arg("phonemes"), py::arg("language"), py::arg("rules") = "1.0", R"(Kokoro's phonemes for espeak-ng's; all else stays.

Args:
    phonemes: IPA with "^" as the tie.
    language: espeak-ng's code, such as "en-us".
    rules: "1.0" or "0.19".

Raises:
    ValueError: there are no such rules.)");
  m.def(
      "map_phonemes",
      [](const py::object& espeak, const std::string& language, const std::string& rules) {
        return map_phonemes(to_utf8(espeak), language, rules);
      },
      py::arg("espeak"), py::arg("language"), py::arg("rules") = "1.0", R"(The same for a phrase just as espeak-ng gives it.

Names of languages in brackets go, and so does any space but one between words.

Args:
    espeak: IPA with U+0361 or "^" as the tie.
    language: espeak-ng's code, such as "en-us".
    rules: "1.0" or "0.19".

Raises:
    ValueError: there are no such rules.)");
  m.def(
      "phonemize",
      [](const py::object& text, const std::string& language, const PhraseSpeaker& phrase, const PhraseSpeaker& word) {
        return to_tuple(phonemize(to_utf8(text), language, phrase, word));
      },
      py::arg("text"), py::arg("language"), py::arg("phrase"), py::arg("word"),
      R"(Everything of G2P but the pronunciation of words: marks, inline pronunciations, alignment.

Args:
    text: a sentence or a few.
    language: espeak-ng's code, such as "en-us".
    phrase: gives a phrase's phonemes, as `map_phonemes` does.
    word: the same for a word by itself; it may be called often for the same one.

Returns:
    The phonemes; for each word that is spoken its begin and end in the text and in the phonemes, in characters; and what
    was left out.)");
  py::class_<G2p>(m, "Espeak", R"(G2P through an espeak-ng library that is loaded at run time. Thread-safe.

Args:
    library: espeak-ng's shared library; None takes KOE_ESPEAK, then the usual names.
    data: its folder espeak-ng-data; None takes KOE_ESPEAK_DATA, then the one beside the library.
    rules: the phoneme rules of the model, "1.0" or "0.19".

Raises:
    Error: there is no such library, or it can't be started.
    ValueError: there are no such rules.)")
      .def(py::init([](const std::optional<std::filesystem::path>& library,
                       const std::optional<std::filesystem::path>& data, const std::string& rules) {
             return open_espeak({library.value_or(""), data.value_or(""), rules});
           }),
           py::arg("library") = py::none(), py::arg("data") = py::none(), py::arg("rules") = "1.0")
      .def(
          "phonemize",
          [](const G2p& self, const py::object& text, const std::string& language) {
            const std::string utf8 = to_utf8(text);
            Phonemes found;
            {
              const py::gil_scoped_release release;
              found = self.phonemize(utf8, language);
            }
            return to_tuple(found);
          },
          py::arg("text"), py::arg("language") = "en-us", R"(The phonemes of a sentence or a few, as `phonemize` returns them.

Raises:
    Error: espeak-ng failed, or koe doesn't know the language.)");
}

}  // namespace koe::bindings
