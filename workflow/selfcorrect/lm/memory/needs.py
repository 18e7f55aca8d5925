"""What each kind of job needs, item by item, on its GPU and in the main memory.

The most that may be needed: every prompt as long as the longest, every attempt as long as may be.
"""

from collections.abc import Sequence
from typing import NamedTuple

from selfcorrect.jobs import FinetuneJob, GenerateJob, ReinforceJob, SampleJob, TrackJob
from selfcorrect.lm.memory.activations import FLOAT32, Precision, Reading, head, kept, passing
from selfcorrect.lm.memory.kv_cache import (
    cache_bytes,
    conversation_columns,
    fixed_cache_bytes,
    slab_bytes,
    slab_columns,
)
from selfcorrect.lm.memory.shape import Shape
from selfcorrect.lm.memory.terms import GIB, MIB, Items, Need, Needs, Setting
from selfcorrect.spec import Generation, Loading

PROCESS = GIB // 2  # Python with torch, transformers and TRL: 0.47 GiB
# With CUDA's libraries, and what its context takes on the GPU: assumed, not measured.
CUDA_PROCESS, CUDA_CONTEXT = 3 * GIB, GIB
SIZES = {"float32": FLOAT32, "bfloat16": 2}  # bytes

AnyJob = SampleJob | FinetuneJob | ReinforceJob | GenerateJob | TrackJob


def needs(job: AnyJob, setting: Setting) -> Needs:
    """What a job needs."""
    match job:
        case ReinforceJob():
            gpu, main = _reinforce(job, setting)
        case FinetuneJob():
            gpu, main = _finetune(job, setting)
        case SampleJob():
            gpu, main = _sample(job, setting)
        case GenerateJob():
            gpu, main = _generate(job, setting)
        case TrackJob():
            gpu, main = _track(job, setting)
    if setting.on_gpu:
        main = main.and_process(CUDA_PROCESS).times(setting.processes)
        return Needs(gpu.and_process(CUDA_CONTEXT), main)
    # One memory: what would be on a GPU, and what is kept beside it.
    both = Need({**gpu.stays, **main.stays}, (*gpu.turns, *main.turns))
    return Needs(None, both.and_process(PROCESS).times(setting.processes))


class Pass(NamedTuple):
    """Sampling side by side: ``copies`` conversations of each of ``problems``."""

    problems: int
    copies: int
    attempts: int
    seen: int  # of them at the most, the one that is being written included
    given: bool = False  # the first attempt is there already, in the prompt of every conversation

    @classmethod
    def of(
        cls,
        generation: Generation,
        problems: int,
        copies: int,
        attempts: int,
        seen: int,
        *,
        given: bool = False,
    ) -> "Pass":
        """As many problems at a time as ``generation`` allows."""
        at_a_time = min(problems, max(1, generation.batch_size // copies))
        return cls(at_a_time, copies, attempts, min(attempts, seen), given)


def _sampling(shape: Shape, precision: Precision, setting: Setting, of: Pass) -> Items:
    if setting.generation.engine == "vllm":
        return {"KV cache": setting.generation.cache_mb * MIB}
    new, rows = setting.generation.max_new_tokens, of.problems * of.copies

    def holding(attempts: int) -> int:
        """Tokens of a prompt that holds so many attempts."""
        return setting.prompt + attempts * (new + setting.bridge)

    length = conversation_columns(setting.prompt, of.seen, new, setting.bridge)
    begin, fixed = holding(int(of.given)), setting.generation.engine == "compiled"
    columns = slab_columns(begin, of.seen - of.given, new, setting.bridge, fixed=fixed)
    reread = of.attempts > of.seen
    # A problem's conversations share its first prompt, but not one that holds an attempt.
    reads = [Reading(rows if of.given else of.problems, begin, begin)]
    if reread:
        start = holding(of.seen - 1)
        columns = max(columns, slab_columns(start, 1, new, setting.bridge, fixed=fixed))
        reads.append(Reading(rows, start, start))
    elif of.attempts > 1 + of.given:
        reads.append(Reading(rows, setting.bridge + 1, length))
    return {
        "KV cache": cache_bytes(shape, precision.size, rows, columns, reread=reread, fixed=fixed),
        # The first token's are kept; of the next one's, four more copies in float32.
        "sampling logits": rows * shape.vocabulary * (4 * FLOAT32 + 2 * precision.size),
        "reading": max(passing(shape, precision, read) for read in reads),
    }


def _largest(shape: Shape, precision: Precision, setting: Setting, passes: Sequence[Pass]) -> Items:
    """What the one of them that needs most takes; they take turns."""
    turns = (_sampling(shape, precision, setting, of) for of in passes)
    return max(turns, key=lambda items: sum(items.values()))


def _sample(job: SampleJob, setting: Setting) -> tuple[Need, Need]:
    sampling = job.sampling
    of = Pass.of(job.generation, sampling.problems, sampling.samples_per_problem, 2, 2)
    return _inference(job.loading, setting, [of])


def _generate(job: GenerateJob, setting: Setting) -> tuple[Need, Need]:
    passes = [
        Pass.of(
            job.generation, each.problems, each.samples, each.turns, job.window + 1,
            given=each.decoding == "repair",
        )
        for each in job.passes
    ]  # fmt: skip
    return _inference(job.loading, setting, passes)


def _track(job: TrackJob, setting: Setting) -> tuple[Need, Need]:
    """Of one model at a time, which may have an adapter that is small beside it."""
    passes = [
        Pass.of(job.generation, job.problems, 1, 2, 2, given=given) for given in (False, True)
    ]
    return _inference(job.loading, setting, passes)


def _inference(loading: Loading, setting: Setting, passes: Sequence[Pass]) -> tuple[Need, Need]:
    shape = setting.shape(None)
    precision = _precision(loading, shape)
    weights = shape.parameters * precision.size
    stays = {"weights": weights, **_engine(shape, precision, setting, passes)}
    return Need(stays, (_largest(shape, precision, setting, passes),)), _loading(weights, setting)


def _engine(shape: Shape, precision: Precision, setting: Setting, passes: Sequence[Pass]) -> Items:
    """What stays with an engine: vLLM's copy of the weights, or the cache of compiled steps."""
    generation = setting.generation
    if generation.engine == "vllm":
        return {"vLLM's weights": shape.parameters * precision.size}
    if generation.engine == "torch":
        return {}
    new, bridge = generation.max_new_tokens, setting.bridge
    shapes = [
        (of.problems * of.copies, conversation_columns(setting.prompt, of.seen, new, bridge))
        for of in passes
    ]
    stays = {
        "KV cache of compiled steps": max(
            fixed_cache_bytes(shape, precision.size, *each) for each in shapes
        )
    }
    if setting.on_gpu:  # what a step computes stays in the graphs' own memory
        stays["CUDA graphs"] = max(
            passing(shape, precision, Reading(rows, 1, columns))
            + rows * shape.vocabulary * precision.size
            for rows, columns in shapes
        )
    return stays


def _loading(weights: int, setting: Setting) -> Need:
    """What loading takes in the main memory, on the way to a GPU."""
    return Need({}, ({"weights, while loading": weights},) if setting.on_gpu else ())


def _finetune(job: FinetuneJob, setting: Setting) -> tuple[Need, Need]:
    loading = job.loading
    shape, size = setting.shape(loading.lora), SIZES[loading.dtype]
    # Without an adapter all weights are in float32, and computed with in rounded copies.
    of_weight = size if loading.lora else FLOAT32
    weights = (shape.parameters - shape.trained) * of_weight + shape.trained * FLOAT32
    new = setting.generation.max_new_tokens
    length = conversation_columns(setting.prompt, 2, new, setting.bridge) + 1
    at_a_time = job.sft.traces_per_micro_batch or job.sft.batch_size
    read = Reading(at_a_time, length, length)
    precision = Precision(size, of_weight, _attention(loading, shape))
    recompute = loading.gradient_checkpointing
    stays = {
        "weights": weights,
        "gradients": shape.trained * FLOAT32,
        "optimiser": 2 * shape.trained * FLOAT32,
    }
    training = {
        "rounded weights": shape.trained * size if size < FLOAT32 else 0,
        "activations": kept(shape, precision, [read], recompute=recompute),
        "head": head(shape, size, read.tokens),
    }
    return Need(stays, (training,)), _loading(weights, setting)


def _reinforce(job: ReinforceJob, setting: Setting) -> tuple[Need, Need]:
    """Of one of the job's processes."""
    rl, loading = job.rl, job.loading
    shape = setting.shape(loading.lora)
    precision = _precision(loading, shape)
    size, of_trained = precision.size, FLOAT32 if loading.lora else precision.size
    weights = (shape.parameters - shape.trained) * size + shape.trained * of_trained
    rounded = of_trained < FLOAT32  # then Adam has float32 copies of weights and gradients
    optimiser = shape.trained * FLOAT32 * (3 if rounded else 2)
    elsewhere = loading.lora is None and loading.reference == "cpu" and setting.on_gpu

    prompts = max(1, rl.prompts_per_batch // setting.processes)
    part = min(prompts, rl.prompts_per_micro_batch or prompts)
    rows, new = part * rl.samples_per_prompt, job.generation.max_new_tokens
    length = conversation_columns(setting.prompt, rl.turns, new, setting.bridge)
    continuation = length + 1 - setting.prompt  # tokens
    apart = [  # the prompts once, and what follows them
        Reading(part, setting.prompt, setting.prompt),
        Reading(rows, max(1, continuation - 1), length),
    ]
    recompute = loading.gradient_checkpointing
    reads = [Reading(rows, length, length)] if recompute else apart
    # Two models' hidden states, and those of them that are sampled tokens'; and the reference's
    # of the whole batch, where it is gone through more than once.
    states = 4 * rows + (prompts * rl.samples_per_prompt if rl.updates_per_batch > 1 else 0)
    referring = passing(shape, precision, apart[1]) + sum(
        slab_bytes(shape, size, read.rows, read.columns) for read in apart
    )
    applying = head(shape, size, rows * continuation)
    reference = 0 if loading.lora else (shape.head if elsewhere else shape.parameters) * size
    passes = [
        Pass.of(
            job.generation,
            -(-count // setting.processes),
            rl.samples_per_prompt,
            rl.turns,
            rl.turns,
            given=given,
        )
        for count, given in zip(rl.fresh_and_offline, (False, True), strict=True)
        if count
    ]
    stays: Items = {
        "weights": weights,
        "gradients": shape.trained * FLOAT32,
        "optimiser": optimiser,
        "reference": reference,
    }
    in_passing: Items = {"rounded gradients": shape.trained * size if rounded else 0}
    if setting.sharded and setting.processes > 1:
        stays, in_passing = _in_parts(shape, size, stays, setting.processes)
    stays = {**stays, **_engine(shape, precision, setting, passes)}
    training = {
        **in_passing,
        "activations": kept(shape, precision, reads, recompute=recompute)
        + states * continuation * shape.hidden * size,
        # One after the other: the reference reads, the heads are applied.
        "reference and heads": applying if elsewhere else max(applying, referring),
    }
    gpu = Need(stays, (_largest(shape, precision, setting, passes), training))

    # The best weights so far, and for a moment the ones that take their place.
    best = {"best weights": 2 * shape.trained * of_trained if rl.keep == "best" else 0}
    if elsewhere:
        best["reference in main memory"] = shape.parameters * size
    turns = _loading(weights, setting).turns
    if setting.on_gpu:
        turns += ({"checkpoint, while read": 3 * shape.trained * FLOAT32},)
    if elsewhere:
        turns += ({"reference at work": referring},)
    return gpu, Need(best, turns)


def _in_parts(shape: Shape, size: int, whole: Items, processes: int) -> tuple[Items, Items]:
    """The same where what is trained lies in parts beside the whole model that is sampled.

    In passing two layers are gathered, and what is in no layer, with their gradients.
    """
    layer = (shape.parameters - shape.head) // shape.layers
    stays = {
        "weights": whole["weights"],
        "parts of float32 weights": shape.trained * FLOAT32 // processes,
        "gradients": whole["gradients"] // processes,
        "optimiser": 2 * shape.trained * FLOAT32 // processes,
        "reference": whole["reference"] // processes,
    }
    return stays, {"gathered weights and gradients": 2 * (2 * layer + shape.head) * size}


def _precision(loading: Loading, shape: Shape) -> Precision:
    size = SIZES[loading.dtype]
    return Precision(size, size, _attention(loading, shape))


def _attention(loading: Loading, shape: Shape) -> str:
    return loading.attention or ("sdpa" if shape.sdpa else "eager")
