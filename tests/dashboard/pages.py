"""A page under Streamlit's AppTest, as a browser would get it from the URL."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest


def opened(app: AppTest, *folders: Path | str, **query: str | list[str]) -> AppTest:
    """The app with these results folders and query parameters, run once."""
    app.query_params["results"] = ", ".join(map(str, folders))
    for name, value in query.items():
        app.query_params[name] = value
    return run(app)


def run(app: AppTest) -> AppTest:
    """The app after another run, which may not end in an exception."""
    app.run()
    assert not app.exception, app.exception
    return app
