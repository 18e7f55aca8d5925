"""Task and engine to traces: conversations of two or more attempts with a fixed instruction."""

from collections.abc import Sequence
from dataclasses import replace

from selfcorrect.files import FileProblem
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.engine import Engine, Session
from selfcorrect.records import Attempt, Problem, Trace
from selfcorrect.seeds import derive
from selfcorrect.tasks import Task


def rollout(
    engine: Engine,
    chat: Chat,
    task: Task,
    problems: Sequence[Problem],
    *,
    instruction: str,
    turns: int,
    samples: int,
    max_new_tokens: int,
    temperature: float,
    seeds: Sequence[int],
    window: int | None = None,
    first_attempts: Sequence[Attempt] | None = None,
) -> list[Trace]:
    """Sample ``samples`` traces of ``turns`` attempts for each problem, side by side.

    The instruction is the same for all problems and does not depend on the attempts (§3). Each
    turn goes on from the KV cache of the one before. Once more than ``window`` attempts have
    been made, a model sees the problem and the last ``window`` of them, read anew: such an
    attempt's ``prompt`` is that whole conversation.

    Args:
        engine: the sampling backend.
        chat: the conversations of its tokenizer.
        task: gives the first message.
        problems: [P].
        instruction: what the model is told after an attempt.
        turns: attempts per trace.
        samples: traces per problem.
        max_new_tokens: per attempt.
        temperature: 0 is greedy.
        seeds: [P], of each problem: its traces do not depend on which problems are beside it.
        window: None for all earlier attempts.
        first_attempts: [P], attempts by another writer to go on from; all of a problem's traces
            share its one.

    Returns:
        [P * samples], a problem's traces side by side.
    """
    openings = chat.openings([task.prompts.opening(problem.question) for problem in problems])
    opening_of = [opening for opening in openings for _ in range(samples)]
    traces = [Trace(problem, sample) for problem in problems for sample in range(samples)]
    bridge = chat.bridge(instruction)
    session: Session | None = None
    if first_attempts is None:
        session = engine.open(openings, samples)
    else:
        firsts = [replace(first, given=True) for first in first_attempts for _ in range(samples)]
        for trace, first, opening in zip(traces, firsts, opening_of, strict=True):
            trace.attempts.append(replace(first, prompt=opening))

    for turn in range(1 if first_attempts is None else 2, turns + 1):
        if turn == 1:
            read = opening_of
        else:
            read = [_after(trace.attempts[-1], chat.eos, bridge) for trace in traces]
            forget = window is not None and turn > window + 1
            if session is None or forget:
                seen = [trace.attempts[-window if window else 0 :] for trace in traces]
                whole = [
                    _conversation(opening, attempts, chat.eos, bridge)
                    for opening, attempts in zip(opening_of, seen, strict=True)
                ]
                session = engine.open(whole)
                read = whole if forget else read
            else:
                session.extend(read)
        assert session is not None
        own = [derive(seed, "turn", turn, n) for seed in seeds for n in range(samples)]
        done = session.sample(max_new_tokens, temperature, own)
        texts = chat.decode([completion.tokens for completion in done])
        for trace, prompt, out, text in zip(traces, read, done, texts, strict=True):
            trace.attempts.append(Attempt(prompt, out.tokens, out.logprobs, text, out.truncated))
    return traces


def check_room(
    chat: Chat,
    task: Task,
    given: Sequence[tuple[Problem, str]],
    *,
    instruction: str,
    max_new_tokens: int,
    context: int,
    place: str,
) -> None:
    """Refuse attempts by another writer that leave a model no room for its own.

    Args:
        chat: the conversations of the model's tokenizer.
        task: gives the first message.
        given: problems with an attempt each.
        instruction: what the model is told after it.
        max_new_tokens: of its own attempt.
        context: tokens of a conversation.
        place: where the attempts are from.

    Raises:
        FileProblem: the first of them, and what to change.
    """
    for problem, text in given:
        opening, attempt = chat.opening(task.prompts.opening(problem.question)), chat.attempt(text)
        whole = _conversation(opening, [attempt], chat.eos, chat.bridge(instruction))
        if (tokens := len(whole) + max_new_tokens - 1) > context:
            raise FileProblem(
                f"{place}: the attempt at {problem.id} has {len(attempt.tokens)} tokens; with its "
                f"problem and an attempt of {max_new_tokens} more that makes {tokens}, but the "
                f"model's context has {context}. Take it out of the file, or lower "
                "generation.max_new_tokens"
            )


def _after(attempt: Attempt, eos: int, bridge: Sequence[int]) -> list[int]:
    """What is read after an attempt: an attempt that wrote its own EOS needs no second one."""
    ended = len(attempt.tokens) > 0 and attempt.tokens[-1] == eos
    return list(bridge[1:] if ended else bridge)


def _conversation(
    opening: Sequence[int], attempts: Sequence[Attempt], eos: int, bridge: Sequence[int]
) -> list[int]:
    """The whole conversation so far, as if ``attempts`` were all that had been made."""
    tokens = list(opening)
    for attempt in attempts:
        tokens += [*attempt.tokens, *_after(attempt, eos, bridge)]
    return tokens
