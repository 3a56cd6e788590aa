"""Says at the end how many damaged files were tried."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "fuzzed" and report.when == "call"
    ]
    if told:
        terminalreporter.section("damaged files")
        for line in sorted(told):
            terminalreporter.line(line)
