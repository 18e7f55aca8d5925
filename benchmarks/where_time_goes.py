"""Where the time goes: within one RL step, over a finished run, and in starting a job.

    python benchmarks/where_time_goes.py step
    python benchmarks/where_time_goes.py run [results]
    python benchmarks/where_time_goes.py start

`step` trains with the parts of the trainer watched; each moment counts for the innermost part that
it falls into. `run` adds up what Snakemake's `benchmark:` files say. `start` runs `--help` of every
step, and the imports of a step that trains.
"""

import argparse
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import timing

IMPORTS = {
    "Python alone": "pass",
    "torch": "import torch",
    "a step that samples or does RL": "import selfcorrect.learning.trainer",
    "a step that fine-tunes": "import selfcorrect.learning.sft",
}


class Ledger:
    """Wall time by part; while one part runs inside another, the outer one's clock stands."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stack = ["the loop itself"]
        self._since = 0.0

    def start(self) -> None:
        """From now on time counts."""
        self._since = time.perf_counter()

    def book(self) -> None:
        """The time since the last call goes to the part that is running."""
        now = time.perf_counter()
        part = self._stack[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def watch(self, owner: Any, name: str, part: str | Callable[..., str]) -> None:
        """Book the calls of ``owner.name`` under ``part``, or under what it says of a call."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.book()
            self._stack.append(part if isinstance(part, str) else part(*args))
            try:
                return original(*args, **kwargs)
            finally:
                self.book()
                self._stack.pop()

        setattr(owner, name, watched)


def step_shares(arguments: argparse.Namespace) -> str:
    """A table of the parts of an RL step."""
    import torch
    from subject import subject

    from selfcorrect.learning import scoring
    from selfcorrect.learning import trainer as module
    from selfcorrect.lm import reference
    from selfcorrect.lm.chat import Chat
    from selfcorrect.lm.checkpoint import Workspace
    from selfcorrect.lm.models import prepare_process
    from selfcorrect.lm.slab import SlabCache
    from selfcorrect.lm.torch_engine import TorchSession

    prepare_process()
    what = subject(arguments)
    trainer = what.trainer()
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder), {})
        trainer.rl = what.rl.model_copy(update={"steps": arguments.warmup})
        trainer.train(work)
        work.checkpoint.unlink()
        ledger = Ledger()
        for owner, name, part in (
            (Chat, "openings", "rollout: chat template and tokenizer"),
            (Chat, "decode", "rollout: tokens to text"),
            (TorchSession, "extend", "rollout: batches of tokens to read"),
            (TorchSession, "sample", "rollout: choosing and recording tokens"),
            (TorchSession, "_forward", _forward_part),
            (SlabCache, "repeat", "rollout: copying the cache"),
            (SlabCache, "select", "rollout: copying the cache"),
            (SlabCache, "restore", "rollout: copying the cache"),
            (module, "rollout", "rollout: traces"),
            (module, "collate", "traces to tensors"),
            (module, "grade_traces", "grading"),
            (scoring, "continuation_states", "forward"),
            (reference, "continuation_states", "reference"),
            (trainer.trained, "score", "loss"),
            (module, "policy_gradient_loss", "loss"),
            (torch.Tensor, "backward", "backward"),
            (torch.nn.utils, "clip_grad_norm_", "clip and Adam"),
            (trainer.optimiser, "step", "clip and Adam"),
            (Workspace, "record", "logging"),
            (Workspace, "save", "checkpoint"),
        ):  # fmt: skip
            ledger.watch(owner, name, part)
        trainer.rl = what.rl.model_copy(update={"steps": arguments.warmup + arguments.rounds})
        ledger.start()
        whole = timing.seconds(lambda: trainer.train(work))
        ledger.book()
    rows = [
        [part, f"{1e3 * spent / arguments.rounds:.1f}", f"{spent / whole:.1%}"]
        for part, spent in sorted(ledger.seconds.items(), key=lambda item: -item[1])
    ]
    rows.append(["all", f"{1e3 * whole / arguments.rounds:.1f}", "100.0%"])
    return timing.table(["part", "ms", "share"], rows)


def _forward_part(_session: Any, block: Any, _mask: Any) -> str:
    one = block.shape[1] == 1
    return f"rollout: the model, {'token by token' if one else 'reading prompts and instructions'}"


def run_shares(arguments: argparse.Namespace) -> str:
    """Tables of a finished run: by rule, and its slowest jobs."""
    logs = arguments.results / "logs"
    frames = []
    for file in sorted(logs.rglob("*.benchmark.tsv")):
        frame = pd.read_csv(file, sep="\t", na_values=["NA", "-"]).tail(1)
        rule = file.name.removesuffix(".benchmark.tsv")
        frames.append(frame.assign(rule=rule, job=str(file.parent.relative_to(logs))))
    if not frames:
        sys.exit(f"{logs}: no benchmark files; run the workflow first")
    jobs = pd.concat(frames)
    # A job that ended before Snakemake looked at it has wall time alone.
    jobs["cpu_time"] = jobs["cpu_time"].fillna(jobs["s"])
    rules = jobs.groupby("rule").agg(
        jobs=("s", "size"), wall=("s", "sum"), cpu=("cpu_time", "sum"),
        slowest=("s", "max"), memory=("max_rss", "max"),
    ).sort_values("cpu", ascending=False)  # fmt: skip
    rows = [
        [rule, int(r.jobs), f"{r.wall:.0f}", f"{r.cpu:.0f}", f"{r.cpu / rules.cpu.sum():.1%}",
         f"{r.slowest:.0f}", _megabytes(r.memory)]
        for rule, r in rules.iterrows()
    ]  # fmt: skip
    rows.append(["all", len(jobs), f"{jobs.s.sum():.0f}", f"{jobs.cpu_time.sum():.0f}", "100.0%",
                 f"{jobs.s.max():.0f}", _megabytes(jobs.max_rss.max())])  # fmt: skip
    header = ["rule", "jobs", "job seconds", "core seconds", "share", "slowest job, s", "peak MB"]
    slowest = [
        [f"{job.rule} {job.job}", f"{job.s:.0f}", _megabytes(job.max_rss)]
        for job in jobs.nlargest(arguments.slowest, "s").itertuples()
    ]
    return "\n\n".join(
        [timing.table(header, rows), timing.table(["slowest jobs", "s", "peak MB"], slowest)]
    )


def _megabytes(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.0f}"


def start_times(arguments: argparse.Namespace) -> str:
    """A table of what a job pays before it works."""
    import selfcorrect.steps

    folder = Path(selfcorrect.steps.__file__).parent
    steps = sorted(p.stem for p in folder.glob("*.py") if "__main__" in p.read_text())
    commands = {f"import: {what}": ["-c", code] for what, code in IMPORTS.items()}
    commands |= {f"{name} --help": ["-m", f"selfcorrect.steps.{name}", "--help"] for name in steps}
    rows = []
    for what, command in commands.items():
        call = functools.partial(
            subprocess.run, [sys.executable, *command], check=True, capture_output=True
        )
        times = [timing.seconds(call) for _ in range(arguments.rounds)]
        rows.append([what, timing.spread(times)])
    return timing.table(["start", "s"], rows)


def main() -> None:
    """Print one of the three reports."""
    command = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = command.add_subparsers(required=True)
    of_step = commands.add_parser("step", help="parts of one RL step")
    of_step.add_argument("--prompts", type=int, help="problems per batch (default: the config's)")
    of_step.add_argument("--samples", type=int, help="traces per problem (default: the config's)")
    of_step.add_argument("--rounds", type=int, default=50)
    of_step.add_argument("--warmup", type=int, default=5)
    of_step.set_defaults(report=step_shares)
    of_run = commands.add_parser("run", help="rules and jobs of a finished run")
    of_run.add_argument("results", type=Path, nargs="?", default=Path("results"))
    of_run.add_argument("--slowest", type=int, default=5, help="how many of the slowest jobs")
    of_run.set_defaults(report=run_shares)
    of_start = commands.add_parser("start", help="start-up of every step")
    of_start.add_argument("--rounds", type=int, default=3)
    of_start.set_defaults(report=start_times)
    arguments = command.parse_args()
    report = arguments.report(arguments)
    print(timing.machine(), report, sep="\n\n")


if __name__ == "__main__":
    main()
