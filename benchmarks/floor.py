"""The floor of one RL step: what the machine's arithmetic and memory allow, beside what is reached.

    python benchmarks/floor.py

First the machine, one thread: products of matrices (large ones, and of the shapes that the model
has), copies, element-wise work, and the cost of calling an operation at all. Then every operation
of one RL step is recorded and counted: floating-point operations of its products, bytes it reads
and writes. From these follow times that no program with the same operations can beat:

- products at the large shapes' rate; products at their own shapes (each distinct one run alone);
- bytes of the products' operands alone (as if all else were fused into them), at the rate of copies
  that stay in the cache; bytes of all operations;
- all operations, each distinct one run alone: what PyTorch's kernels take, one after the other.
  What a step takes beyond that is Python, `transformers`' layers and autograd's bookkeeping.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import timing
import torch
from subject import Subject, parser, step, subject
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from selfcorrect.lm.models import prepare_process

Recorded = Callable[[], object]


@dataclass
class Operation:
    """One operation at one set of shapes: how often it was called, and once to call again."""

    again: Recorded
    flops: float
    bytes: int
    calls: int = 0
    alone: float = field(default=0.0)  # seconds of one call


class Recorder(TorchDispatchMode):
    """Records the operations that run under it, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[Any, Operation] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run the operation, and count it."""
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if function.namespace == "aten" and not function.is_view:
            given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            made = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
            key = (function, *((x.shape, x.stride(), x.dtype) for x in given))
            if key not in self.operations:
                self.operations[key] = Operation(
                    again=lambda: function(*args, **kwargs),
                    flops=flops(function, given, made),
                    bytes=sum(map(size, given)) + sum(map(size, made)),
                )
            self.operations[key].calls += 1
        return result

    def total(self, of: Callable[[Operation], float]) -> float:
        """Sum over all calls."""
        return sum(of(operation) * operation.calls for operation in self.operations.values())


def size(tensor: torch.Tensor) -> int:
    """Bytes of a tensor; what is only expanded counts once."""
    if tensor.numel() == 0:
        return 0
    lengths = zip(tensor.shape, tensor.stride(), strict=True)
    distinct = 1
    for length, stride in lengths:
        distinct *= length if stride else 1
    return distinct * tensor.element_size()


def flops(function: Any, given: Sequence[torch.Tensor], made: Sequence[torch.Tensor]) -> float:
    """Floating-point operations of an operation's products: two a multiplication."""
    name = function.overloadpacket.__name__
    if name in ("mm", "bmm", "linear"):
        return 2.0 * made[0].numel() * given[0].shape[-1]
    if name == "addmm":
        return 2.0 * made[0].numel() * given[1].shape[-1]
    if name.startswith(("scaled_dot_product", "_scaled_dot_product")):
        backward = "backward" in name
        query, key = given[1:3] if backward else given[:2]
        # Forward: two products of [queries, keys, head size]; backward: five.
        return (5 if backward else 2) * 2.0 * query.numel() * key.shape[-2]
    return 0.0


@dataclass(frozen=True)
class Machine:
    """Rates of one thread."""

    gflops: float
    copied: float  # GB/s read and written, within the cache
    lines: list[list[str]]


def measure(what: Subject) -> Machine:
    """The machine at large shapes and at those of ``what``."""
    wide, hidden = what.tiny.intermediate_size, what.tiny.hidden_size
    tokens = 20 * what.rows
    lines, rates = [], []
    for label, m, k, n in (
        ("large", 1024, 1024, 1024),
        ("projection of a batch", tokens, hidden, hidden),
        ("feed-forward of a batch", tokens, hidden, wide),
        ("gradient of such a weight", hidden, tokens, wide),
        ("projection of one token a row", what.rows, hidden, hidden),
    ):
        a, b = torch.randn(m, k), torch.randn(k, n)
        rates.append(2e-9 * m * k * n / timing.best(lambda a=a, b=b: a @ b))
        lines.append([f"product {label}, [{m}, {k}] × [{k}, {n}]", f"{rates[-1]:.0f} GFLOP/s"])
    copied = []
    for label, count in (("1 GiB", 1 << 27), ("a batch's activations", tokens * hidden)):
        source, target = torch.randn(count), torch.empty(count)
        copied.append(8e-9 * count / timing.best(lambda s=source, t=target: t.copy_(s)))
        lines.append([f"copy, {label}, read and written", f"{copied[-1]:.1f} GB/s"])
    x, y = torch.randn(tokens * hidden), torch.empty(tokens * hidden)
    for label, work in (
        ("x · x", lambda: torch.mul(x, x, out=y)),
        ("exp x", lambda: torch.exp(x, out=y)),
        ("SiLU x", lambda: torch.nn.functional.silu(x)),
    ):
        rate = 1e-9 * x.numel() / timing.best(work)
        lines.append([f"element-wise, {label}", f"{rate:.2f} G elements/s"])
    one = torch.zeros(1)
    lines.append(["calling an operation on one number",
                  f"{1e6 * timing.best(lambda: one + one):.1f} µs"])  # fmt: skip
    return Machine(rates[0], copied[1], lines)


def record(work: Recorded) -> Recorder:
    """The operations of one call, and how long each takes alone."""
    with Recorder() as recorder:
        work()
    with torch.inference_mode():
        for operation in recorder.operations.values():
            operation.alone = timing.best(operation.again, budget=0.002)
    return recorder


def main() -> None:
    """Print the machine's rates, then floors and times of rollout and update."""
    command = parser(__doc__)
    command.add_argument("--rounds", type=int, default=20)
    command.add_argument("--warmup", type=int, default=3)
    arguments = command.parse_args()
    prepare_process()
    what = subject(arguments)
    machine = measure(what)

    trainer = what.trainer()
    for _ in range(arguments.warmup):
        step(trainer)
    reached: list[list[float]] = [[], []]
    for _ in range(arguments.rounds):
        traces = trainer.sample()
        reached[0].append(timing.seconds(trainer.sample))
        reached[1].append(timing.seconds(lambda traces=traces: trainer.update(traces)))
    parts = [record(trainer.sample), record(lambda: trainer.update(traces))]

    def row(label: str, of: Callable[[Operation], float], scale: float, digits: int) -> list[str]:
        values = [part.total(of) * scale for part in parts]
        return [label, *(f"{value:.{digits}f}" for value in (*values, sum(values)))]

    products = 1e-6 / machine.gflops  # ms
    moved = 1e-6 / machine.copied
    rows = [
        row("operations called", lambda _: 1, 1, 0),
        row("GFLOP in products", lambda x: x.flops, 1e-9, 3),
        row("GB read and written", lambda x: x.bytes, 1e-9, 3),
        row("floor, ms: products at the large shape's rate", lambda x: x.flops, products, 1),
        row("floor, ms: bytes of the products", lambda x: x.bytes * (x.flops > 0), moved, 1),
        row("floor, ms: products at their shapes", lambda x: x.alone * (x.flops > 0), 1e3, 1),
        row("floor, ms: bytes of all operations", lambda x: x.bytes, moved, 1),
        row("floor, ms: all operations alone", lambda x: x.alone, 1e3, 1),
    ]
    whole = [a + b for a, b in zip(*reached, strict=True)]
    rows.append(["reached, ms", *(timing.spread([1e3 * x for x in times], 0)
                                  for times in (*reached, whole))])  # fmt: skip
    print(
        timing.machine(),
        timing.table(["one thread", "rate"], machine.lines),
        timing.table(["one RL step", "rollout", "update", "both"], rows),
        sep="\n\n",
    )


if __name__ == "__main__":
    main()
