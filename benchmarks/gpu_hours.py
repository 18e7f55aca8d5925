"""How many GPU hours does a run over a real benchmark take, by its config and a GPU's rates?

    python benchmarks/device.py --shape 1.5b --json rates.json
    python benchmarks/gpu_hours.py math-qwen2.5-1.5b --rates rates.json

Tokens are counted from the config: what is sampled, and what is trained on. How long attempts and
prompts are it cannot know; ``--attempt`` and ``--prompt`` say it. The rates should be those of the
overlay's model: ``device.py`` measures them with attempts of spread lengths, since a batch takes as
long as its longest row. Not counted: waiting for executions, loading, Snakemake, and what another
model writes for repair.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import timing
import yaml

from selfcorrect import config
from selfcorrect.plan import VIEWS, Plan
from selfcorrect.spec import RL, SFT

ROOT = Path(__file__).parents[1]
INSTRUCTION = 60  # tokens between two attempts


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of an attempt, in the mean."""

    prompt: int
    attempt: int

    def conversation(self, turns: int) -> int:
        """Tokens of a whole trace."""
        return self.prompt + turns * self.attempt + (turns - 1) * INSTRUCTION


def tokens(plan: Plan, task: str, lengths: Lengths) -> dict[str, tuple[int, int]]:
    """Of each kind of job, over all methods and seeds: tokens sampled, and tokens trained on."""
    of, seeds = plan.config.tasks[task], len(plan.config.run.seeds)
    sampling = of.sampling
    found = {"sample": (0, 0), "finetune": (0, 0), "reinforce": (0, 0), "generate": (0, 0)}

    def add(kind: str, sampled: int, trained: int) -> None:
        before = found[kind]
        found[kind] = before[0] + seeds * sampled, before[1] + seeds * trained

    sources = set()
    for node in plan.nodes[task].values():
        settings = node.settings
        if isinstance(settings, SFT):
            sources.add(node.parent)
            traces = min(settings.max_traces, sampling.problems * sampling.samples_per_problem)
            add("finetune", 0, settings.epochs * traces * lengths.conversation(2))
        if isinstance(settings, RL):
            traces = settings.steps * settings.prompts_per_batch * settings.samples_per_prompt
            trained = settings.updates_per_batch * traces * lengths.conversation(settings.turns)
            add("reinforce", traces * settings.turns * lengths.attempt, trained)
    for _ in sources:
        add("sample", 2 * sampling.problems * sampling.samples_per_problem * lengths.attempt, 0)
    for method in plan.methods():
        for view in VIEWS:
            if view != "snapshots_" and plan.shows(task, method, view):
                for each in plan.generate(task, method, 0, view).passes:
                    own = each.turns - (each.decoding == "repair")
                    attempts = each.problems * each.samples * own
                    add("generate", attempts * lengths.attempt, 0)
        if plan.is_tracked(task, method):  # own attempts, and second ones after the base's
            kept = 1 + of.evaluation.snapshots.count
            add("generate", kept * plan.track(task, method, 0).problems * 3 * lengths.attempt, 0)
    return found


def models(plan: Plan, task: str) -> int:
    """Models that are kept on the disk."""
    trained = [node for node in plan.nodes[task].values() if node.settings is not None]
    tracked = sum(plan.is_tracked(task, node.name) for node in trained)
    snapshots = tracked * plan.config.tasks[task].evaluation.snapshots.count
    return len(plan.config.run.seeds) * (len(trained) + snapshots)


def main() -> None:
    """Print a table of one overlay."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overlay", nargs="+", help="names of overlays in config/experiments")
    parser.add_argument("--rates", type=Path, help="what device.py wrote")
    parser.add_argument("--engine", choices=("torch", "compiled"), default="torch",
                        help="whose rate of sampling it is")  # fmt: skip
    parser.add_argument("--sampled", type=float, help="tokens sampled a second, without --rates")
    parser.add_argument("--trained", type=float, help="tokens trained on a second, without --rates")
    parser.add_argument("--prompt", type=int, default=200, help="tokens of a prompt")
    parser.add_argument("--attempt", type=int, default=300, help="tokens of an attempt")
    arguments = parser.parse_args()
    if arguments.rates:
        measured = json.loads(arguments.rates.read_text())
        compiled = ", compiled" if arguments.engine == "compiled" else ""
        if (rate := f"sampled tokens/s{compiled}") not in measured:
            parser.error(f"--engine: {arguments.rates} has no rate of compiled token steps")
        sampled, trained = measured[rate], measured["trained tokens/s"]
        size = measured["parameters"] / 1e9
        of = f", measured on {measured['device']} with {size:.2g} B parameters"
    elif arguments.sampled and arguments.trained:
        sampled, trained, of = arguments.sampled, arguments.trained, ""
    else:
        parser.error("give --rates, or --sampled and --trained")
    rows = []
    for name in arguments.overlay:
        overlay = yaml.safe_load((ROOT / f"config/experiments/{name}.yaml").read_text())
        plan = Plan(config.load(config.merged(config.default(ROOT), overlay)))
        for task in plan.config.run.tasks:
            counted = tokens(plan, task, Lengths(arguments.prompt, arguments.attempt))
            hours = {kind: (s / sampled + t / trained) / 3600 for kind, (s, t) in counted.items()}
            millions = [sum(column) / 1e6 for column in zip(*counted.values(), strict=True)]
            shown = [f"{value:,.0f}" for value in millions]
            shown += [f"{hours[kind]:,.1f}" for kind in counted]
            rows.append([name, *shown, f"{sum(hours.values()):,.0f}", models(plan, task)])
    print(
        f"GPU hours at {sampled:,.0f} tokens sampled and {trained:,.0f} trained on a second{of}, "
        f"prompts of {arguments.prompt} and attempts of {arguments.attempt} tokens, "
        "all methods, one seed\n"
    )
    headers = ["overlay", "M tokens sampled", "M trained on", *counted, "all", "models kept"]
    print(timing.table(headers, rows))


if __name__ == "__main__":
    main()
