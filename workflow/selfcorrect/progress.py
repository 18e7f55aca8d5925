"""How long work tells how far it is: a bar on a terminal, plain lines with an ETA in a log."""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Counts up to ``total``; ``start`` steps were done before (a resumed run)."""

    def __init__(self, what: str, total: int, start: int = 0) -> None:
        self._what, self._total, self._start, self._done = what, total, start, start
        self._began = self._last = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=start, desc=what, dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def advance(self, **numbers: float) -> None:
        """One step further, with the numbers worth watching."""
        self._done += 1
        shown = {key: f"{value:.3g}" for key, value in numbers.items()}
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES or self._done == self._total:
            self._last = now
            rest = (now - self._began) / (self._done - self._start) * (self._total - self._done)
            values = " ".join(f"{key}={value}" for key, value in shown.items())
            line = f"{self._what}: {self._done}/{self._total}, {rest:.0f} s to go"
            print(f"{line}  {values}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()
