"""How many tokens conversations may have, and whether they fit the model's context."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from selfcorrect.jobs import GenerateJob, Job, MemoryJob
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.engine import context_of
from selfcorrect.lm.memory.kv_cache import conversation_columns
from selfcorrect.records import Problem
from selfcorrect.tasks import Task, make_task
from selfcorrect.validation import ConfigError


@dataclass(frozen=True)
class Prompts:
    """First prompts of some problems, in tokens, and the longest text between two attempts."""

    problems: Sequence[Problem]
    tokens: Sequence[int]
    bridge: int

    def __or__(self, other: "Prompts") -> "Prompts":
        """Both."""
        return Prompts(
            [*self.problems, *other.problems],
            [*self.tokens, *other.tokens],
            max(self.bridge, other.bridge),
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest."""
        return max(self.tokens)


@dataclass(frozen=True)
class Conversations:
    """Those of a run: of training problems and of evaluated ones."""

    training: Prompts
    evaluated: Prompts


def conversations(job: MemoryJob, chat: Chat) -> Conversations:
    """The prompts of all problems that the run uses; without training they are the evaluated."""
    jobs = [each for each in job.generate if not of_training(each)]
    task = make_task(jobs[0].data)
    instructions = {task.prompts.instruction(each.instruction) for each in job.generate}
    count = max(of.problems for each in jobs for of in each.passes)
    evaluated = _prompts(task, task.problems(jobs[0].split)[:count], instructions, chat)
    repairs = next((each.repairs for each in jobs if each.repairs is not None), None)
    if repairs is not None:
        other = make_task(repairs)
        between = {other.prompts.instruction(each.instruction) for each in jobs}
        evaluated |= _prompts(other, other.problems(jobs[0].split), between, chat)
    familiar = [each for each in job.generate if of_training(each)]
    trained = [each.data for of in (job.sample, job.reinforce, familiar) for each in of]
    if not trained:
        return Conversations(evaluated, evaluated)
    task = make_task(trained[0])
    problems = task.problems("train")
    said = {each.instruction for of in (job.reinforce, familiar) for each in of}
    texts = {task.prompts.correction, *map(task.prompts.instruction, said)}
    training = _prompts(task, problems, texts, chat)
    return Conversations(training, evaluated)


def check_context(job: MemoryJob, found: Conversations, config: Any) -> None:
    """Refuse problems whose conversation may not fit the model's context.

    Raises:
        ConfigError: a line for each use of the model where one may not.
    """
    allowed = context_of(config.get_text_config())
    faults = []
    for use, prompts, attempts, remedy in _uses(job, found):
        rest = conversation_columns(0, attempts, job.generation.max_new_tokens, prompts.bridge)
        for problem, tokens in zip(prompts.problems, prompts.tokens, strict=True):
            if tokens + rest > allowed:
                faults.append(
                    f"tasks.{job.task}.generation.max_new_tokens: {use} of {attempts} attempts at "
                    f"problem {problem.id} may take {tokens + rest} tokens ({tokens} of them its "
                    f"prompt, up to {job.generation.max_new_tokens} an attempt), but the model's "
                    f"context has {allowed}: lower it{remedy}, or set tasks.{job.task}.model.path "
                    "to a model with a longer context"
                )
                break
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))


def _uses(job: MemoryJob, found: Conversations) -> Iterator[tuple[str, Prompts, int, str]]:
    """Each use of the model, its prompts, its attempts, and the keys that would make them fewer."""
    if job.sample or any(map(of_training, job.generate)):
        yield "sampling", found.training, 2, ""
    for turns in sorted({each.rl.turns for each in job.reinforce}):
        fewer = f", or tasks.{job.task}.rl.turns" if turns > 1 else ""
        yield "RL", found.training, turns, fewer
    seen = max(min(longest_attempts(each), each.window + 1) for each in job.generate)
    where = f"tasks.{job.task}.evaluation"
    fewer = f", or {where}.window, {where}.turns or {where}.many_turns"
    yield "evaluation", found.evaluated, seen, fewer


def of_training(job: Job) -> bool:
    """Whether its problems are those of the training split; jobs that train have no other."""
    return getattr(job, "split", "train") == "train"


def longest_attempts(job: GenerateJob) -> int:
    """Attempts of its longest conversations."""
    return max(each.turns for each in job.passes)


def _prompts(
    task: Task, problems: Sequence[Problem], instructions: Iterable[str], chat: Chat
) -> Prompts:
    openings = chat.openings([task.prompts.opening(problem.question) for problem in problems])
    bridge = max(len(chat.bridge(instruction)) for instruction in instructions)
    return Prompts(problems, [len(opening) for opening in openings], bridge)
