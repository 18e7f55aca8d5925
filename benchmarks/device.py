"""Is this machine's GPU used rightly, and how well? Checks first, then rates beside their limits.

    python benchmarks/device.py                       # a GPU, 0.5 B parameters, a few minutes
    python benchmarks/device.py --device cpu --shape tiny --rows 8 --tokens 8

Checks: a small float32 model says on the device what it says on the CPU, and the same with compiled
token steps; in the dtype that is asked for, what is recorded when a token is sampled is what
training recomputes; recomputed activations give the same gradients. Each has a bound; where one is
broken the script says so and fails.

Rates: tokens sampled and tokens trained on per second, of a model of a known architecture with
random weights, beside what the device's memory bandwidth and arithmetic allow. Both limits are
measured here: by copying, and by a large product. Attempts end at every token with the same chance,
so that their lengths are spread: a batch is done when its longest row is.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import timing
import torch
from torch._dynamo.utils import counters
from transformers import Qwen2Config, Qwen2ForCausalLM

from selfcorrect.learning.optimiser import Optimiser
from selfcorrect.learning.policy_gradient import TokenStatistics, policy_gradient_loss
from selfcorrect.learning.scoring import score
from selfcorrect.lm.batch import TraceBatch, collate
from selfcorrect.lm.compiled_engine import CompiledEngine
from selfcorrect.lm.models import prepare_process
from selfcorrect.lm.reference import Reference
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.records import Attempt, Problem, Trace
from selfcorrect.validation import ConfigError

EOS, PAD, NEVER = 1, 0, -1  # an attempt that NEVER ends has full length
CANNOT_COMPILE = "none: torch.compile fails here"
LONGEST = 2.5  # the token limit, in mean lengths of an attempt
SHAPES: dict[str, dict[str, int]] = {
    # Qwen2.5-0.5B's
    "0.5b": {"vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
             "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2},
    # Qwen2.5-1.5B's
    "1.5b": {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960,
             "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2},
    "tiny": {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
}  # fmt: skip


class Check(NamedTuple):
    """What must hold, what was found, and whether it does."""

    name: str
    found: str
    holds: bool


def model(shape: str, dtype: torch.dtype, device: str, seed: int = 0) -> Any:
    """Random weights of a shape."""
    torch.manual_seed(seed)
    made = Qwen2ForCausalLM(Qwen2Config(
        **SHAPES[shape], max_position_embeddings=8192, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=EOS, pad_token_id=PAD, initializer_range=0.05,
    ))  # fmt: skip
    return made.to(device, dtype).eval()


def end_at_times(policy: Any, mean: int) -> None:
    """Let every token end an attempt with one chance, so that it has ``mean`` tokens on average."""

    def hook(_module: Any, _inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():  # training takes what was sampled as it is
            return logits
        logits = logits.clone()
        logits[..., EOS] = -math.inf
        logits[..., EOS] = logits.float().logsumexp(-1).to(logits.dtype) - math.log(mean - 1)
        return logits

    policy.get_output_embeddings().register_forward_hook(hook)


def traces(
    engine: TorchEngine, prompts: int, copies: int, read: int, tokens: int, temperature: float = 1.0
) -> list[Trace]:
    """Two attempts at each of some random prompts."""
    generator = torch.Generator().manual_seed(0)
    openings = torch.randint(2, 500, (prompts, read), generator=generator).tolist()
    instruction = list(range(2, 34))
    made = [Trace(Problem(str(row), "", "", "1"), copy) for row in range(prompts)
            for copy in range(copies)]  # fmt: skip
    session = engine.open(openings, copies)
    shown = [opening for opening in openings for _ in range(copies)]
    for turn in range(2):
        seeds = [turn * len(made) + row for row in range(len(made))]
        for trace, prompt, out in zip(
            made, shown, session.sample(tokens, temperature, seeds), strict=True
        ):
            trace.attempts.append(Attempt(prompt, out.tokens, out.logprobs, "", out.truncated))
        shown = [instruction] * len(made)
        if turn == 0:
            session.extend(shown)
    return made


def gradients(
    policy: Any, reference: Reference, sampled: list[Trace], recompute: bool
) -> tuple[TokenStatistics, TraceBatch]:
    """A pass over traces, there and back; returns the statistics and their batch."""
    batch = collate(sampled, PAD, policy.device)
    statistics = score(policy, batch, reference, 1.0, "exact", recompute=recompute)
    advantages = torch.ones(len(sampled), 2, device=policy.device)
    loss, _ = policy_gradient_loss(statistics, batch.turns, advantages, [0.01, 0.01])
    loss.backward()
    return statistics, batch


def checks(device: str, dtype: torch.dtype) -> list[Check]:
    """What must hold on any device."""
    here, there = (model("tiny", torch.float32, name) for name in ("cpu", device))
    return [*same_words(here, there), *same_compiled(there), *same_numbers(device, dtype)]


def same_words(here: Any, there: Any) -> list[Check]:
    """Whether one float32 model says the same on two devices."""
    greedy = [
        traces(TorchEngine(policy, NEVER, PAD), 4, 1, 12, 16, 0.0) for policy in (here, there)
    ]
    same = equal_attempts(*greedy)
    # Of the same tokens: a tie that falls otherwise would change all that follows it.
    said = []
    for policy in (here, there):
        batch = collate(greedy[0], PAD, policy.device)
        with torch.no_grad():
            statistics = score(policy, batch, Reference(policy, policy), 1.0, "exact")
        said.append(statistics.logprobs.cpu()[batch.turns.cpu() > 0])
    apart = (said[0] - said[1]).abs().max().item()
    return [
        Check("float32: greedy attempts equal to the CPU's, at least 7 of 8",
              f"{same} of 8", same >= 7),
        Check("float32: largest difference of log-probs from the CPU's, at most 1e-3",
              f"{apart:.1e}", apart <= 1e-3),
    ]  # fmt: skip


def same_compiled(policy: Any) -> list[Check]:
    """Whether compiled token steps write what the others do; some attempts end before others."""
    name = "float32: attempts by compiled steps equal to the others, at least 31 of 32"
    end_at_times(policy, 12)
    engines = (made(policy, EOS, PAD) for made in (TorchEngine, CompiledEngine))
    try:
        same = equal_attempts(*(traces(engine, 4, 4, 12, 16) for engine in engines))
    except ConfigError as error:
        print(error, end="\n\n")
        return [Check(name, CANNOT_COMPILE, True)]
    found = [Check(name, f"{same} of 32", same >= 31)]
    if policy.device.type == "cuda":
        seen = counters["inductor"]
        skipped, recorded = seen["cudagraph_skips"], seen["cudagraph_recorded_non_static_inputs"]
        found.append(Check("compiled steps are CUDA graphs: none skipped, some recorded",
                           f"{skipped} skipped", not skipped and recorded > 0))  # fmt: skip
    return found


def equal_attempts(some: list[Trace], others: list[Trace]) -> int:
    """How many attempts are the same in both."""
    return sum(
        one.tokens == other.tokens
        for of in zip(some, others, strict=True)
        for one, other in zip(*(trace.attempts for trace in of), strict=True)
    )


def same_numbers(device: str, dtype: torch.dtype) -> list[Check]:
    """Whether training computes what sampling recorded, and the same by either way back."""
    policy, fixed = (model("tiny", dtype, device, seed) for seed in (0, 1))
    reference = Reference(fixed, policy)
    sampled = traces(TorchEngine(policy, NEVER, PAD), 4, 2, 12, 16)
    found = []
    for recompute in (False, True):
        policy.zero_grad()
        statistics, batch = gradients(policy, reference, sampled, recompute)
        found.append([p.grad.float().clone() for p in policy.parameters()])
    where = batch.turns > 0
    gap = (statistics.logprobs - batch.logprobs)[where].abs()
    norm = torch.cat([g.flatten() for g in found[0]]).norm()
    change = torch.cat([(a - b).flatten() for a, b in zip(*found, strict=True)]).norm()
    differ = (change / norm).item()
    name = str(dtype).removeprefix("torch.")
    mean, back = (1e-4, 1e-3) if dtype == torch.float32 else (3e-2, 5e-2)
    return [
        Check(f"{name}: log-probs when sampled and when trained, mean difference at most {mean:g}",
              f"{gap.mean():.1e} (largest {gap.max():.1e})", gap.mean().item() <= mean),
        Check(f"{name}: gradients with recomputed activations, at most {back:g} apart",
              f"{differ:.1e}", differ <= back),
    ]  # fmt: skip


def seconds(work: Callable[[], object], device: str) -> float:
    """The time of some work, once it has been warmed up."""
    work()
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def limits(device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Bytes a second that are copied (read and written), and operations a second of a product."""
    size = 4096 if device != "cpu" else 1024
    left = torch.randn(size, size, device=device).to(dtype)
    bytes_ = (1 << 30) if device != "cpu" else (1 << 27)
    source = torch.empty(bytes_, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return (
        2 * bytes_ / seconds(lambda: target.copy_(source), device),
        2 * size**3 / seconds(lambda: left @ left, device),
    )


def rates(arguments: argparse.Namespace, dtype: torch.dtype, compiles: bool) -> dict[str, Any]:
    """Tokens a second, and what the limits would allow."""
    device = arguments.device
    bandwidth, arithmetic = limits(device, dtype)
    policy = model(arguments.shape, dtype, device)
    copies = min(8, arguments.rows)
    prompts = arguments.rows // copies

    end_at_times(policy, arguments.tokens)

    def rollout(engine: TorchEngine) -> list[Trace]:
        limit = round(LONGEST * arguments.tokens)
        return traces(engine, prompts, copies, arguments.prompt, limit)

    engine = TorchEngine(policy, EOS, PAD)
    sampling = seconds(lambda: rollout(engine), device)
    whole = rollout(engine)
    written = sum(len(attempt.tokens) for trace in whole for attempt in trace.attempts)
    of_compiled: dict[str, float] = {}
    if compiles:
        compiled = CompiledEngine(policy, EOS, PAD)
        began = time.perf_counter()
        rollout(compiled)
        first = time.perf_counter() - began
        again = seconds(lambda: rollout(compiled), device)
        of_compiled["sampled tokens/s, compiled"] = written / again
        of_compiled["compiling, s"] = first - again
        del compiled  # its caches would be there beside what training takes
    sampled = whole[: arguments.trained]
    reference = Reference(model(arguments.shape, dtype, device, seed=1), policy)
    optimiser = Optimiser(policy.parameters(), 1e-6)

    def update() -> None:
        optimiser.zero_grad()
        gradients(policy, reference, sampled, recompute=True)
        optimiser.accumulate()
        optimiser.step(1.0)

    training = seconds(update, device)
    size = sum(p.numel() for p in policy.parameters())
    weight_bytes = size * dtype.itemsize
    read = sum(len(a.prompt) + len(a.tokens) for trace in sampled for a in trace.attempts)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": size,
        "rows": arguments.rows,
        "tokens an attempt, mean": written / (2 * len(whole)),
        "bandwidth, GB/s": bandwidth / 1e9,
        "arithmetic, TFLOP/s": arithmetic / 1e12,
        "sampled tokens/s": written / sampling,
        **of_compiled,
        # Every token step reads all weights once, whatever the number of rows.
        "sampled tokens/s, if weights were read at full bandwidth": (
            prompts * copies * bandwidth / weight_bytes
        ),
        "trained tokens/s": read / training,
        # There and back, activations once more, and the reference: 2 + 4 + 2 + 2 a parameter.
        "trained tokens/s, if products ran at full speed": arithmetic / (10 * size),
        "peak memory, GB": torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None,
    }


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Check, measure, print, and write the figures where they are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--rows", type=int, default=128, help="conversations sampled at a time")
    parser.add_argument("--trained", type=int, default=8, help="conversations trained on at a time")
    parser.add_argument("--prompt", type=int, default=200, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of an attempt, mean")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    prepare_process(device=arguments.device)
    dtype = getattr(torch, arguments.dtype)
    found = checks(arguments.device, dtype)
    rows = [[each.name, each.found, "ok" if each.holds else "NOT OK"] for each in found]
    print(timing.table(["check", "found", ""], rows), "\n")
    measured = rates(arguments, dtype, all(each.found != CANNOT_COMPILE for each in found))
    shown = [[key, f"{value:,.4g}" if isinstance(value, float) else str(value)]
             for key, value in measured.items() if value is not None]  # fmt: skip
    print(timing.table(["figure", "value"], shown))
    if arguments.json:
        kept = {"checks": {each.name: each.found for each in found}, **measured}
        arguments.json.write_text(json.dumps(kept, indent=2) + "\n")
    if broken := [each.name for each in found if not each.holds]:
        sys.exit(f"does not hold here: {'; '.join(broken)}")


if __name__ == "__main__":
    main()
