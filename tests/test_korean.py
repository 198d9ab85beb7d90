"""The Korean edition belongs to the English text as it stands, piece by piece."""

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from helpers import checks

ROOT = Path(__file__).parents[1]
NOTATION = ROOT / "docs/notation.md"
spec = importlib.util.spec_from_file_location("translate", ROOT / "locale/translate.py")
translate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(translate)

ENGLISH = translate.english()
KOREAN = {name: translate.korean(name) for name in ENGLISH}
PAIRS = [
    pytest.param(name, context, id=f"{name}-{context}")
    for name, messages in ENGLISH.items()
    for context in messages
]
SAME = {  # what a translation leaves as it is, wherever in the piece it then stands
    "code block": re.compile(r"^ *(`{3,}|~{3,})[^\n]*\n.*?\n *\1 *$", re.DOTALL | re.MULTILINE),
    "inline code": re.compile(r"(?<!`)`[^`\n]+`(?!`)"),
    "formula": re.compile(r"\$\$.+?\$\$|(?<![\\$])\$(?!\$)[^$]+?(?<!\\)\$", re.DOTALL),
    "link": re.compile(r"\]\([^)\s]+\)|^\[[^\]]+\]: \S+|https?://[^\s)>]+", re.MULTILINE),
    "number": re.compile(r"\d+(?:[.,:]\d+)*"),
    "placeholder": re.compile(r"\{[\w:.]+\}"),
    "fold": re.compile(r"</?(?:details|summary)>"),
    "cell of a table": re.compile(r"(?<=\|)[ \t]*(?=\|)|(?<=[^|\n])\|"),
    "heading": re.compile(r"^#+ ", re.MULTILINE),
}


def differences(english, korean):
    """Return what stands in one of two pieces more often than in the other."""
    found = []
    for kind, pattern in SAME.items():
        one, other = (Counter(m.group() for m in pattern.finditer(t)) for t in (english, korean))
        found += [f"{kind} {what!r} is missing" for what in one - other]
        found += [f"{kind} {what!r} is not in the English" for what in other - one]
        english, korean = (pattern.sub(" ", text) for text in (english, korean))
    return found


def wrong_terms(english, korean):
    """Return the terms of the glossary that a translation renders in another way."""
    for kind in ("code block", "inline code", "formula", "link"):
        english = SAME[kind].sub(" ", english)
    english = english.split("## Further reading")[0]  # titles of papers stay as they are
    korean, wrong = " ".join(korean.split()), []
    for term in sorted(translate.glossary(), key=lambda term: -len(term["english"])):
        english, found = translate.forms(term).subn(" ", english)  # "hidden state" is no "state"
        if found and term["korean"] not in korean:
            wrong.append(f"{term['english']}: {term['korean']}")
    return wrong


@pytest.mark.parametrize("name", ENGLISH)
def test_every_piece_has_one_translation_in_order(name):
    assert list(KOREAN[name]) == list(ENGLISH[name])


@pytest.mark.parametrize(("name", "context"), PAIRS)
def test_translation_belongs_to_its_english(name, context):
    entry = KOREAN[name][context]
    assert entry.msgid == ENGLISH[name][context], "the English has changed"
    alone = name == "checks" and len(entry.msgid.split()) == 1  # h_n and the like
    assert alone or re.search("[가-힣]", entry.msgstr), "not translated"
    assert not entry.fuzzy, "to be looked at: the English had changed"
    assert not (found := differences(entry.msgid, entry.msgstr)), found
    assert not (wrong := wrong_terms(entry.msgid, entry.msgstr)), wrong


def test_made_notebooks_differ_in_markdown_alone(tmp_path):
    translate.make(tmp_path)
    for path in translate.NOTEBOOKS:
        made = (tmp_path / "notebooks/ko" / path.name).read_text(encoding="utf8")
        one, other = (json.loads(text) for text in (path.read_text(encoding="utf8"), made))
        for cell, made_cell in zip(one["cells"], other["cells"], strict=True):
            if cell["cell_type"] == "markdown":
                made_cell["source"] = cell["source"]
        assert one == other
    assert (tmp_path / "README.ko.md").read_bytes() == (ROOT / "README.ko.md").read_bytes()


BROKEN = {
    "code block": ("```python\nx = 1\n```", "```python\nx = 2\n```"),
    "inline code": ("the call `fit` trains", "`fti` 호출"),
    "formula": ("the state $h^{(t)}$", "상태 $h^{(t-1)}$"),
    "link": ("see [this](a.ipynb)", "[여기](b.ipynb)"),
    "number": ("from 0.871 to 0.898", "0.871에서 0.889로"),
    "placeholder": ("{n} words", "단어 {m}개"),
    "fold": ("<details>x</details>", "<details>x"),
    "cell of a table": ("| a | b |", "| 가 |"),
    "heading": ("## Title", "### 제목"),
}


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_checks_speak_korean_when_asked_to(name, monkeypatch):
    record = checks.EXERCISES[name]
    wrong = record.mistakes[0][0] if record.mistakes else 0
    for language, said in (("ko", True), ("en", False)):
        monkeypatch.setenv("RNN_COURSE_LANGUAGE", language)
        for answer in (record.right, wrong, ...):
            verdict = record(*answer) if record.takes > 1 and answer is not ... else record(answer)
            assert bool(re.search("[가-힣]", verdict.message)) is said, verdict


def test_notation_names_things_as_the_glossary_does():
    third = re.compile(r"^(?:\|[^|\n]+){2}\| ([^|\n]+) \|", re.MULTILINE)  # column of a table
    page = "".join(KOREAN["pages"][key].msgstr for key in translate.sections(NOTATION))
    texts = (page, NOTATION.read_text(encoding="utf8"))
    names = zip(*map(third.findall, texts), strict=True)
    assert not (wrong := [pair for pair in names if wrong_terms(*pair)]), wrong


def test_what_came_and_that_it_stopped_are_said_in_korean(monkeypatch):
    monkeypatch.setenv("RNN_COURSE_LANGUAGE", "ko")
    said = checks.causal_attention(torch.zeros(3)).message
    assert said.endswith("받은 것은 크기가 (3,)인 Tensor 객체입니다.")
    assert "함수가 오류로 멈추었습니다: TypeError" in checks.causal_attention(torch.outer).message


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_translation_is_noticed(kind):
    english, korean = BROKEN[kind]
    assert any(found.startswith(kind) for found in differences(english, korean))
    assert not differences(english, english)


def test_another_word_for_a_term_is_noticed():
    assert wrong_terms("It has three layers.", "계층이 세 개 있습니다.") == []
    assert wrong_terms("The gradient vanishes.", "기울기가 사라집니다.") == [
        "gradient: 그레이디언트"
    ]
