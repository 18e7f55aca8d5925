"""What every step shares: its arguments, its spec, and errors as one line.

A step is called as ``python -m selfcorrect.steps.NAME --spec JSON --key PATH ...``. Steps import
torch and the like only after their arguments are read, so that ``--help`` answers at once.
"""

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcorrect.codehash import code_hash
from selfcorrect.files import FileProblem, read_json
from selfcorrect.jobs import MEMORY, Job, WriteJob
from selfcorrect.validation import AnyModel, ConfigError, parse

if TYPE_CHECKING:
    from selfcorrect.grading.programs import Workplace

# Set before torch is imported: threads that wait must not spin beside other jobs, and tokenizers
# start none of their own.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


OUT_OF_MEMORY = (
    "out of memory. Run it again with more, or where it samples with a lower generation.batch_size "
    "(of vLLM generation.cache_mb); where it trains with a lower rl.prompts_per_micro_batch or "
    "sft.traces_per_micro_batch (of methods.<name>, where that has its own) or "
    "model.gradient_checkpointing: true; RL on GPUs with more compute.processes or, as a last "
    "resort, model.reference: cpu. It then goes on from where it stopped, and what is finished is "
    "kept. model.lora takes less too, but trains everything anew"
)
CUDA_OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def parser(doc: str | None, *, spec: bool = True) -> argparse.ArgumentParser:
    """A parser whose help is the step's docstring, with ``--spec`` if the step has one."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if spec:
        made.add_argument(
            "--spec", required=True, help="the job's spec: JSON text, or a file that holds it"
        )
    return made


def path_argument(made: argparse.ArgumentParser, name: str, help_: str, **more: Any) -> None:
    """Add ``--name PATH``, required unless said otherwise."""
    made.add_argument(f"--{name}", type=Path, help=help_, **{"required": True, **more})


def workplace_arguments(made: argparse.ArgumentParser) -> None:
    """Add what a step that grades is told of the place where programs are executed."""
    made.add_argument(
        "--workers", type=int, default=1, help="programs executed at a time, where answers are such"
    )
    path_argument(made, "executions", "file of results that jobs share", required=False)


def memory_argument(made: argparse.ArgumentParser) -> None:
    """Add where a spec's settings of memory may stand instead of in it."""
    made.add_argument(
        "--memory", help="settings of the spec that do not change what comes out: JSON text"
    )


def device_argument(made: argparse.ArgumentParser) -> None:
    """Add what a step that uses a model is told of the machine."""
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where models are")


def workplace(arguments: argparse.Namespace, processes: int = 1) -> "Workplace":
    """The same, as tasks take it; ``processes`` of a job share its workers."""
    from selfcorrect.grading.programs import Workplace

    return Workplace(max(1, arguments.workers // processes), arguments.executions)


def job(kind: type[AnyModel], text: str, memory: str | None = None) -> AnyModel:
    """The spec as a typed job, with ``memory`` (some settings of some sections) on top.

    Raises:
        ConfigError: it is not a spec of this kind.
        FileProblem: it names a file that cannot be read.
    """
    from_file = not text.lstrip().startswith("{")
    spec = read_json(Path(text)) if from_file else _json("--spec", text)
    if memory is not None and isinstance(spec, dict):
        for section, settings in _json("--memory", memory).items():
            if other := settings.keys() - MEMORY.get(section, set()):
                raise ConfigError(f"--memory: not about memory: {section}.{', '.join(other)}")
            spec[section] = {**(spec.get(section) or {}), **settings}
    return parse(kind, spec)


def _json(argument: str, text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{argument}: not JSON ({error})") from None


def identity(step: str, spec: Job | WriteJob, *inputs: Path) -> dict[str, Any]:
    """What a resumable job is: its spec less ``jobs.MEMORY``, its code, its inputs' checksums.

    An input folder counts by all its files but the record of how it came to be, a name on the Hub
    by the name; among the inputs are the local files that its problems are read from.
    """
    from selfcorrect.files import sha256
    from selfcorrect.provenance import SIDECAR
    from selfcorrect.spec.source import local_files

    sections = [spec.data, getattr(spec, "repairs", None)]
    problems = {path for data in sections if data for path in local_files(data).values()}
    digests = []
    for path in (*inputs, *map(Path, sorted(problems))):
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        parts = [part for part in inside if part.name != SIDECAR]
        digests.append([sha256(part) if part.is_file() else str(part) for part in parts])
    return {
        "step": step,
        "spec": spec.model_dump(mode="json", exclude=MEMORY),
        "code": code_hash(f"steps.{step}"),
        "inputs": digests,
    }


@contextmanager
def importing() -> Iterator[None]:
    """Around the import of torch and the like: saves a quarter of a short step's start and end.

    Their half a million objects stay for good, so the garbage collector need not look for more of
    it among them again and again: not while they come, not later, not at the process's end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def run(main: Callable[[Sequence[str] | None], None]) -> None:
    """Call a step's ``main``; problems a person can mend are one clear line, not a traceback."""
    try:
        main(None)
    except (ConfigError, FileProblem, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        print(f"error: {OUT_OF_MEMORY} ({str(error).splitlines()[0]})", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)


def _out_of_memory(error: Exception) -> bool:
    """Also of torch's errors, which cannot be named here without importing it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error)
    return any(sign in said for sign in ("DefaultCPUAllocator", *CUDA_OUT_OF_MEMORY))
