"""Blind votes between two decoders: how often one was preferred, and how sure that is."""

from __future__ import annotations

import math

import pandas as pd

COLUMNS = ["at", "first", "second", "clip", "choice"]
TIE = "tie"


def tally(votes: pd.DataFrame) -> pd.DataFrame:
    """Per pair of names: columns one, other, votes, ties, share (of decided votes that `one` won), low, high.

    `votes` has the columns `COLUMNS`; `choice` is one of the two names or `tie`. The interval is Wilson's at 95 %
    (Wilson, JASA 22, 1927).
    """
    found = []
    pairs = votes[["first", "second"]].apply(lambda row: tuple(sorted(map(str, row))), axis=1) if len(votes) else []
    for pair, group in votes.groupby(pairs) if len(votes) else ():
        one, other = pair
        wins, ties = int((group["choice"] == one).sum()), int((group["choice"] == TIE).sum())
        decided = int(group["choice"].isin([one, other]).sum())
        low, high = wilson(wins, decided)
        share = wins / decided if decided else math.nan
        found.append({"one": one, "other": other, "votes": len(group), "ties": ties, "share": share, "low": low,
                      "high": high})  # fmt: skip
    return pd.DataFrame(found, columns=["one", "other", "votes", "ties", "share", "low", "high"])


def wilson(wins: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share; NaN without a trial."""
    if not trials:
        return math.nan, math.nan
    share, weight = wins / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return middle - half, middle + half
