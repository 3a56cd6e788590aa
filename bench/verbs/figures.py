"""Draw the paper's figures and tables from stored results; nothing is run.

  python -m bench figures                                  all of them, from results/ into figures/
  python -m bench figures stage_latency scaling            these
  python -m bench figures --results DIR --out DIR --study NAME
  python -m bench figures speed_quality --study searched --x decode_time_ms --y psnr_teacher
  python -m bench figures frames --frames DIR              pictures DIR/CLIP/NAME.png side by side
  python -m bench figures --docs                           the SVG pictures of README and docs, into docs/
Each becomes NAME.csv (all digits), NAME.tex (a booktabs table), NAME.pdf and NAME.png. A figure without data says in
one line what makes them; the exit code is 1 only if it was asked for by name.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pandas as pd

from bench import analysis
from bench.analysis import paper
from bench.analysis.paper.base import WIDE
from bench.analysis.published import load_published
from bench.arguments import parser_of

DOCS = {  # file in docs/ -> the figure it shows and the study it shows it of
    "quickstart": ("speed_quality", "quickstart"),
    "redundancy": ("redundancy", "redundancy"),
    "roofline_bounds": ("roofline", "roofline"),
    "stage_latency": ("stage_latency", "stage_latency"),
}


def main(argv: list[str]) -> int:
    parser = parser_of("figures", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a figure; all of them by default")
    parser.add_argument(
        "--results", action="append", metavar="DIR", help="a results folder; may be given several times"
    )
    parser.add_argument("--out", metavar="DIR", help="where the files go (default: figures; with --docs: docs)")
    parser.add_argument("--study", metavar="NAME", help="take the runs of this study instead of each figure's own")
    parser.add_argument("--x", default="speedup", metavar="COLUMN", help="cost axis (default: speedup)")
    parser.add_argument("--y", default="psnr_source", metavar="COLUMN", help="quality axis (default: psnr_source)")
    parser.add_argument("--frames", metavar="DIR", help="pictures to show side by side, DIR/CLIP/NAME.png or .npy")
    parser.add_argument("--docs", action="store_true", help="redraw the SVG pictures of README and docs only")
    given = parser.parse_intermixed_args(argv)
    chosen = [name for name in given.names if paper.find_figure(name)] or list(paper.all_figures())
    folders = given.results or ["results"]
    results = analysis.load(folders)
    for problem in results.problems:
        print(f"left out: {problem}", file=sys.stderr)
    quoted = pd.concat([load_published(folder) for folder in folders], ignore_index=True).drop_duplicates()
    pictures = Path(given.frames) if given.frames else None
    material = paper.Material(results, quoted, given.study, given.x, given.y, pictures, tuple(folders))
    if given.docs:
        return _draw_docs(material, Path(given.out or "docs"))
    undrawn = [name for name in chosen if not _made(name, material, Path(given.out or "figures"))]
    return int(bool(given.names) and bool(undrawn))


def _made(name: str, material: paper.Material, out: Path) -> bool:
    """Write one figure's files; False, and one line, where there is nothing to make them of."""
    figure = paper.find_figure(name)
    try:
        numbers = figure.numbers(material)
        why = paper.missing(figure, material) if numbers.empty else None
    except ValueError as error:
        why = str(error)
    if why:
        print(f"{name}: {why}", file=sys.stderr)
        return False
    print(*paper.write(name, figure, numbers, out), sep="\n")
    return True


def _draw_docs(material: paper.Material, out: Path) -> int:
    """The pictures that pages of this repository show, at the width of a page."""
    for file, (name, study) in DOCS.items():
        figure, of_study = paper.find_figure(name), dataclasses.replace(material, study=study)
        numbers = figure.numbers(of_study)
        if numbers.empty:
            raise ValueError(f"{file}.svg: {paper.missing(figure, of_study)}")
        print(*paper.write(file, figure, numbers, out, ["svg"], WIDE))
    return 0
