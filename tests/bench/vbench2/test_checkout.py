"""A checkout is whole or refused in one line; its extended prompts belong to its prompts."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench.vbench2.checkout import EXTENDED, FULL_TEXT, RECORDS, read_checkout
from tests.bench.vbench2.fake import LONG, SHARED, make_root


def test_a_whole_checkout_is_read_with_its_warnings(tmp_path):
    checkout = read_checkout(make_root(tmp_path / "root"))
    assert len(checkout.records) == 6
    assert checkout.prompts == (SHARED, LONG, "A man reads a letter.", "Garden, zoom in.")
    assert checkout.commit == "unknown"
    assert "tested with 45e79ec1" in checkout.warnings[0]
    assert "Diversity 1 of 10" in checkout.warnings[1]


def test_the_commit_is_the_checkouts_own(tmp_path):
    """A folder inside some other repository is not at that repository's commit."""
    root = make_root(tmp_path / "root")

    def git(*arguments):
        named = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *named, *arguments], capture_output=True, text=True, check=True
        )

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "outer")
    assert read_checkout(root).commit == "unknown"
    git("add", "root")
    git("commit", "-q", "-m", "inner")
    assert read_checkout(root).commit == git("rev-parse", "HEAD").stdout.strip()
    assert not any("differ from that commit" in warning for warning in read_checkout(root).warnings)
    (root / "evaluate.py").write_text("")
    assert any("differ from that commit" in warning for warning in read_checkout(root).warnings)


def _remove(name):
    def do(root):
        path = root / name
        path.rmdir() if path.is_dir() else path.unlink()

    return do


def _write(name, text):
    return lambda root: (root / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_remove("evaluate.py"), "evaluate.py missing"),
        (_remove("vbench2/third_party/Instance_detector"), "package on PyPI lacks parts"),
        (_write(RECORDS, "version https://git-lfs"), "not readable JSON"),
        (_write(RECORDS, "[]"), "not a list of prompts"),
        (_write(RECORDS, json.dumps([{"prompt_en": "a", "dimension": ["Complex_LandScape"]}])), "'Complex_LandScape'"),
        (_write(FULL_TEXT, "another prompt\n"), "do not hold the same prompts"),
    ],
)
def test_a_damaged_checkout_is_refused_in_one_line(damage, words, tmp_path):
    root = make_root(tmp_path / "root")
    damage(root)
    with pytest.raises(ValueError, match="git clone") as caught:
        read_checkout(root)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_folder_above_is_told_apart(tmp_path):
    make_root(tmp_path / "VBench" / "VBench-2.0")
    with pytest.raises(ValueError, match=r"give --root .*VBench-2\.0"):
        read_checkout(tmp_path / "VBench")


def test_extended_prompts_are_aligned_or_refused(tmp_path):
    root = make_root(tmp_path / "root")
    texts = read_checkout(root).extended("wanx")
    assert texts[SHARED] == f"{SHARED} In soft light, filmed slowly."
    path = root / EXTENDED["wanx"]
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[1:], lines[0]]), encoding="utf-8")
    with pytest.raises(ValueError, match="neighbouring prompts"):
        read_checkout(root).extended("wanx")
    path.write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(ValueError, match="3 lines for 4 prompts"):
        read_checkout(root).extended("wanx")
    with pytest.raises(ValueError, match="--prompts short"):
        read_checkout(root).extended("vbench2")
