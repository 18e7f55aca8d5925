"""What each method may sample and how often it is updated, as docs/choices.md tells it."""

from math import ceil
from pathlib import Path

import yaml

from selfcorrect import config
from selfcorrect.plan import Node, Plan
from selfcorrect.spec import RL, SFT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/choices.md"
PLAN = Plan(config.load(yaml.safe_load((ROOT / "config/config.yaml").read_text())))


def budget(task: str, node: Node) -> tuple[int, int]:
    """Traces sampled for a node's training, and updates at most; of what it starts from, too."""
    of = PLAN.config.tasks[task]
    traces = updates = 0
    if isinstance(node.settings, RL):
        rl = node.settings
        traces = rl.steps * rl.prompts_per_batch * rl.samples_per_prompt
        updates = rl.steps * rl.updates_per_batch
    elif isinstance(node.settings, SFT):
        traces = of.sampling.problems * of.sampling.samples_per_problem
        updates = node.settings.epochs * ceil(node.settings.max_traces / node.settings.batch_size)
    if node.parent is None:
        return traces, updates
    before = budget(task, PLAN.nodes[task][node.parent])
    return traces + before[0], updates + before[1]


def table() -> str:
    tasks = list(PLAN.nodes)
    titles = [f"`{task}`: {what}" for task in tasks for what in ("traces", "updates")]
    lines = [f"| method | {' | '.join(titles)} |", f"|---|{'--:|' * len(titles)}"]
    for name in PLAN.methods():
        found = [budget(task, PLAN.nodes[task][name]) for task in tasks]
        if any(found[0]):
            cells = [f"{count:,}" for of in found for count in of]
            lines.append(f"| {PLAN.config.methods[name].label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_page_tells_the_budgets_of_the_config():
    _, rest = PAGE.read_text().split("<!-- budgets -->\n\n")
    assert rest.split("\n\n<!-- end -->")[0] == table()
