"""Stored text cannot become LaTeX, and a missing number is a dash."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from bench.analysis.paper import latex

HOSTILE = '$x_1^2$ & 50 % #{}~ \\input{/etc/passwd} <b> [t] `"\x00\x1b\n' + "中" + "long " * 30


def test_every_special_character_is_printed_as_itself():
    assert latex.escape("a_b & 5 % $x$ #1 {y} ~ ^ \\z") == (
        r"a\_b \& 5 \% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}z"
    )
    assert latex.escape("a<b>|[c]") == r"a\textless{}b\textgreater{}\textbar{}{[}c{]}"


def test_what_pdflatex_cannot_print_is_named_by_its_code_point():
    assert latex.escape("é\x00\x1b\n中†×") == r"é   {[}U+4E2D{]}\textsuperscript{\textdagger}\texttimes{}"


def test_a_hostile_table_has_only_our_commands():
    frame = pd.DataFrame({"name": [HOSTILE], "block": [HOSTILE], "value": [1.0]})
    cells = (latex.text("name", HOSTILE), latex.fixed("value", "v", 1))
    written = latex.table(frame, cells, caption=HOSTILE, label="x", blocks="block", notes=[HOSTILE])
    body = re.sub(r"\\text\w+\{\}|\\[&%#_{}$]|\\\\", "", written)
    commands = set(re.findall(r"\\(\w+)", body))
    assert commands <= {"usepackage", "begin", "end", "centering", "caption", "label", "small", "toprule", "midrule",
                        "bottomrule", "multicolumn", "emph", "par", "smallskip", "footnotesize",
                        "scriptsize", "setlength", "tabcolsep"}  # fmt: skip
    assert written.count("{") - written.count(r"\{") == written.count("}") - written.count(r"\}")
    rows = [line for line in written.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert all(len(re.findall(r"(?<!\\)&", row)) == 1 for row in rows), "every row has its two cells"
    assert "$" not in body


def test_numbers_dashes_intervals_and_blocks():
    frame = pd.DataFrame({
        "of": ["a", "a", "b"], "name": ["x", "y", None], "v": [1.234, None, 2.0], "v_low": [1.1, None, 2.0],
        "v_high": [1.3, None, 2.0], "never": [None] * 3,
    })  # fmt: skip
    cells = (latex.text("name", "n"), latex.interval("v", "v"), latex.fixed("never", "nothing", 1))
    lines = latex.table(frame, cells, caption="c", label="l", blocks="of").splitlines()
    assert r"x & 1.23 {[}1.10, 1.30{]} \\" in lines
    assert r"y & -- \\" in lines
    assert r"-- & 2.00 \\" in lines, "an interval that is a point is not written"
    assert [line for line in lines if "multicolumn" in line] == [
        r"\multicolumn{2}{l}{\emph{a}} \\",
        r"\multicolumn{2}{l}{\emph{b}} \\",
    ]
    assert not any("nothing" in line for line in lines), "a column without a number is left out"


@pytest.mark.parametrize(
    ("letters", "environment", "font"),
    [(10, "table", "small"), (70, "table*", "small"), (110, "table*", "footnotesize"), (200, "table*", "scriptsize")],
)
def test_a_table_takes_the_room_it_needs(letters, environment, font):
    written = latex.table(pd.DataFrame({"a": ["x" * letters]}), [latex.text("a", "a")], caption="", label="")
    assert written.splitlines()[1] == rf"\begin{{{environment}}}"
    assert rf"\{font}" in written.splitlines()
