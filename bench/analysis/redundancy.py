"""How much of a site's variance its first k channels rebuild: the stored curves of the redundancy task, in short."""

from __future__ import annotations

import pandas as pd

from bench.analysis.results import Results

METRIC = "r2_of_width"
SHARES = (0.125, 0.25, 0.5)
BEST, OURS = "best subset", "independence, none"
SEED = r", seed \d+$"  # what tells the draws of one ranking apart


def redundancy(results: Results) -> pd.DataFrame:
    """One row per run, site and ranking: the share of variance at an eighth, a quarter and a half of the channels.

    Columns run_id, stage (the site), channels, arm (the ranking, "pca" the bound), 0.125, 0.25, 0.5. A ranking that was
    drawn several times is one row, the mean.
    """
    return at_shares(curves(results))


def at_shares(curves: pd.DataFrame) -> pd.DataFrame:
    """The same from the whole curves."""
    channels = curves.groupby(["run_id", "stage"])["repeat"].transform("max")
    parts = []
    for share in SHARES:
        width = (channels * share).round().clip(lower=1)
        chosen = curves[curves["repeat"] == width]
        parts.append(chosen.set_index(["run_id", "stage", "arm"])["value"].rename(share))
    table = pd.concat(parts, axis=1).reset_index()
    return table.merge(channels.rename("channels").to_frame().join(curves[["run_id", "stage"]]).drop_duplicates())


def against_best(results: Results) -> pd.DataFrame:
    """Where every choice of channels was tried: columns run_id, stage, repeat (the width), and the share of variance
    that the best of them ("best subset") and the ranking by independence ("independence, none") rebuild. From an eighth
    of the channels on: a ranking is refined there, and its first few channels are not meant to be kept alone.
    """
    rows, channels = _stored(results)
    rows = rows[rows["repeat"] >= (channels * SHARES[0]).round()]
    curves = rows[rows["arm"].isin([BEST, OURS])].pivot(
        index=["run_id", "stage", "repeat"], columns="arm", values="value"
    )
    return curves.reindex(columns=[BEST, OURS]).dropna().reset_index()


def curves(results: Results) -> pd.DataFrame:
    """Whole curves: columns run_id, stage (the site), arm (the ranking), repeat (channels kept), share (of the site's
    channels) and value (of its variance). A ranking that was drawn several times is one curve, the mean.
    """
    rows, channels = _stored(results)
    rows = rows.assign(arm=rows["arm"].str.replace(SEED, "", regex=True), share=rows["repeat"] / channels)
    found = rows.groupby(["run_id", "stage", "arm", "repeat", "share"], sort=False)["value"].mean()
    return found.reset_index()


def _stored(results: Results) -> tuple[pd.DataFrame, pd.Series]:
    """The stored curves, and beside every row how many channels its site has."""
    rows = results.measurements[results.measurements["metric"] == METRIC]
    return rows, rows.groupby(["run_id", "stage"])["repeat"].transform("max")


def render_text(results: Results) -> str:
    """Means over the sites of a run, by ranking, as aligned text; "" where no curve is stored."""
    shares, tried, tables = redundancy(results), against_best(results), []
    for run_id, of_run in shares[shares["arm"] != BEST].groupby("run_id"):
        means = of_run.groupby("arm")[list(SHARES)].mean().sort_values(SHARES[1], ascending=False)
        width = max(map(len, means.index))
        lines = [f"{'':<{width}}  1/8    1/4    1/2"]
        lines += [f"{arm:<{width}}  " + "  ".join(f"{value:.3f}" for value in row) for arm, row in means.iterrows()]
        title = f"share of variance that kept channels rebuild, mean of {of_run['stage'].nunique()} sites | {run_id}"
        compared = tried[tried["run_id"] == run_id]
        if len(compared):
            reached = compared[OURS] / compared[BEST]
            lines.append(
                f"all choices tried at {len(compared)} widths: {OURS} reaches {reached.mean():.1%} of the best one's "
                f"share on average, {reached.min():.1%} at worst"
            )
        tables.append("\n".join([title, *lines]))
    return "\n\n".join(tables)
