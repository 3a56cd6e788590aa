"""The dashboard, with its pages loaded and its results read while the server starts and the browser opens.

    python -m dashboard [--results DIR ...]

`streamlit run dashboard/app.py -- --results DIR ...` is the same without the head start. Options of Streamlit
go by its environment variables, e.g. STREAMLIT_SERVER_PORT.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from streamlit.web import cli

APP = Path(__file__).with_name("app.py")


def main(arguments: list[str]) -> None:
    """Serve until interrupted. Results that cannot be read are said on the page, not here."""
    threading.Thread(target=_head_start, args=(arguments,), daemon=True).start()
    cli.main(["run", str(APP), "--", *arguments])


def _head_start(arguments: list[str]) -> None:
    from dashboard import app, cache, data

    app.page_names()  # imports the pages
    folders = data.folders_from_arguments(arguments)
    try:
        cache.digest(folders, data.stamp(folders))
    except (ValueError, OSError):
        return


if __name__ == "__main__":
    main(sys.argv[1:])
