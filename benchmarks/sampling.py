"""Two-turn sampling by our rollout against two calls of `transformers`' `generate`.

    python benchmarks/sampling.py

Both: the same random model, problems, instruction, token limit, temperature 1, and no other change
to the distribution. A random model ends an attempt with about the same chance at every token, so
lengths are mixed: nearly geometric, cut off at the limit. The peer does what is usually done: it
renders and pads the questions, generates, cuts each attempt at its EOS, decodes the text, and
generates again from the whole conversation, padded on the left. Ours also records log-probs; the
peer does not. The two take turns; every round has fresh problems.
"""

import warnings
from collections.abc import Sequence

import timing
import torch
from subject import parser, subject

from selfcorrect.lm.models import LanguageModel, prepare_process
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.records import Attempt, Problem, Trace
from selfcorrect.rollout import rollout
from selfcorrect.tasks import Testbed

TURNS = 2


def ours(
    lm: LanguageModel, task: Testbed, problems: Sequence[Problem], limit: int, seed: int
) -> list[Trace]:
    """Two attempts at each problem by ``rollout``."""
    engine = TorchEngine(lm.model, lm.chat.eos, lm.chat.pad)
    return rollout(
        engine, lm.chat, task, problems, instruction=task.prompts.correction, turns=TURNS,
        samples=1, max_new_tokens=limit, temperature=1.0,
        seeds=range(seed, seed + len(problems)),
    )  # fmt: skip


@torch.inference_mode()
def peer(
    lm: LanguageModel, task: Testbed, problems: Sequence[Problem], limit: int, seed: int
) -> list[Trace]:
    """The same by calling ``generate`` once a turn."""
    torch.manual_seed(seed)
    traces = [Trace(problem, sample=0) for problem in problems]
    read = lm.chat.openings([task.prompts.opening(problem.question) for problem in problems])
    conversations = [list(opening) for opening in read]
    bridge = list(lm.chat.bridge(task.prompts.correction))
    for turn in range(TURNS):
        if turn:
            # An attempt that wrote its own EOS needs no second one.
            read = [bridge[row[-1] == lm.chat.eos :] for row in conversations]
            conversations = [row + more for row, more in zip(conversations, read, strict=True)]
        batch = lm.chat.tokenizer.pad(
            {"input_ids": conversations}, padding_side="left", return_tensors="pt"
        )
        written = lm.model.generate(
            **batch, max_new_tokens=limit, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
        )[:, batch["input_ids"].shape[1] :].tolist()
        attempts = [up_to(lm.chat.eos, row) for row in written]
        texts = lm.chat.decode(attempts)
        for row, (prompt, tokens, text) in enumerate(zip(read, attempts, texts, strict=True)):
            traces[row].attempts.append(
                Attempt(prompt, tokens, (), text, tokens[-1] != lm.chat.eos)
            )
            conversations[row] = conversations[row] + tokens
    return traces


def up_to(eos: int, tokens: list[int]) -> list[int]:
    """Tokens up to and with the first EOS."""
    return tokens[: tokens.index(eos) + 1] if eos in tokens else tokens


def main() -> None:
    """Print attempts, lengths and rates of both sides, and the ratio of their rates."""
    command = parser(__doc__)
    command.set_defaults(prompts=256, samples=1)
    command.add_argument("--limit", type=int, default=64, help="tokens an attempt may have")
    command.add_argument("--rounds", type=int, default=20)
    command.add_argument("--warmup", type=int, default=2)
    arguments = command.parse_args()
    warnings.simplefilter("ignore")
    prepare_process()
    # Room for the longest conversation: question, instruction and two attempts at the limit.
    what = subject(arguments, max_positions=64 + TURNS * arguments.limit)
    lm = what.language_model(full_length=False)

    sides = {"rollout": ours, "generate": peer}
    lengths: dict[str, list[int]] = {name: [] for name in sides}
    truncated = dict.fromkeys(sides, 0)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    size = arguments.prompts
    for round_ in range(arguments.warmup + arguments.rounds):
        problems = [what.problems[(round_ * size + i) % len(what.problems)] for i in range(size)]
        for name, side in sides.items():
            torch.use_deterministic_algorithms(name == "rollout")  # as each is used
            traces: list[Trace] = []
            took = timing.seconds(
                lambda side=side, traces=traces, problems=problems, round_=round_: traces.extend(
                    side(lm, what.task, problems, arguments.limit, round_)
                )
            )
            if round_ >= arguments.warmup:
                attempts = [attempt for trace in traces for attempt in trace.attempts]
                lengths[name] += [len(attempt.tokens) for attempt in attempts]
                truncated[name] += sum(attempt.truncated for attempt in attempts)
                rates[name].append(sum(len(attempt.tokens) for attempt in attempts) / took)
    rows = [
        [name, len(lengths[name]), sum(lengths[name]), timing.spread(lengths[name], 0),
         f"{truncated[name] / len(lengths[name]):.1%}", timing.spread(rates[name], 0)]
        for name in sides
    ]  # fmt: skip
    header = ["side", "attempts", "tokens", "tokens an attempt", "truncated", "tokens/s"]
    ratios = [a / b for a, b in zip(rates["rollout"], rates["generate"], strict=True)]
    print(
        timing.machine(),
        timing.table(header, rows),
        f"rollout ÷ generate: {timing.spread(ratios)}, {len(ratios)} rounds",
        sep="\n\n",
    )


if __name__ == "__main__":
    main()
