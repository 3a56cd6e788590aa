"""What a user sees while runs are under way: a bar on a terminal, plain lines elsewhere, one line per finished run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

from bench.isolate import Message
from bench.sweep import STORED, SUBMITTED, Done, RunRequest


class Display:
    """Shows the runs of one command. `total` are expected; of several, plain output shows a line each."""

    def __init__(self, total: int, label_width: int, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.total, self.label_width = total, label_width
        self.done: list[Done] = []
        self._terminal = self.stream.isatty()
        self._bar: tqdm | None = None
        self._last_step = ""
        self._lock = threading.RLock()  # runs side by side report from threads of their own

    def watch(self, request: RunRequest, message: Message) -> None:
        """Show a message of the run under way: {"step": text}, for a training with "done", "total" and "values"."""
        step, done, total = str(message["step"]), message.get("done"), message.get("total")
        with self._lock:
            if self._terminal:
                self._draw(f"{self._count()} {request.label}: {step}{_shown(message.get('values', {}))}", done, total)
            elif self.total == 1 and step != self._last_step:
                self._print(f"  {step}")
            self._last_step = step

    def finish(self, done: Done) -> None:
        """Show how a run ended."""
        with self._lock:
            self._finish(done)

    def _finish(self, done: Done) -> None:
        self._clear()
        count = self._count()
        self.done.append(done)
        self._last_step = ""
        if done.status == SUBMITTED or (done.status == STORED and self.total > 1):
            return  # counted in the closing line
        took = "stored already" if done.status == STORED else f"{done.wall_s:.0f} s"
        reason = f"  {done.error}" if done.error else ""
        status = "" if done.status == STORED else f"{done.status:<7} "
        self._print(f"{count} {done.request.label:<{self.label_width}}  {status}{took}{reason}")

    def close(self) -> None:
        """Take the bar away and say how many runs were not repeated."""
        with self._lock:
            self._clear()
        stored = sum(done.status == STORED for done in self.done)
        if stored and self.total > 1:
            self._print(f"{stored} of {self.total} runs were stored already and are not repeated")
        if submitted := sum(done.status == SUBMITTED for done in self.done):
            self._print(f"{submitted} of {self.total} runs are in the queue; the same command collects them")

    def _count(self) -> str:
        width = len(str(self.total))
        return f"[{len(self.done) + 1:{width + 1}d}/{self.total}]"

    def _draw(self, text: str, done: int | None, total: int | None) -> None:
        if self._bar is None or self._bar.total != total:
            self._clear()
            form = "{desc} {bar} {n}/{total} [{elapsed}<{remaining}]" if total else "{desc} [{elapsed}]"
            self._bar = tqdm(desc=text, total=total, bar_format=form, file=self.stream, leave=False, dynamic_ncols=True)
        self._bar.set_description_str(text, refresh=False)
        self._bar.n = done or 0
        self._bar.refresh()

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


def _shown(values: Mapping[str, float]) -> str:
    """Loss and PSNR of a training, as far as they are known."""
    parts = [("loss", "loss {:.3f}"), ("psnr", "{:.2f} dB")]
    return "".join(f", {text.format(values[name])}" for name, text in parts if name in values)
