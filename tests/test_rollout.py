"""Rollouts: what each attempt was conditioned on, read back as text."""

from dataclasses import replace

import pytest
import torch

from selfcorrect.files import FileProblem
from selfcorrect.lm.tokenizer import EOS
from selfcorrect.records import Attempt, Trace
from selfcorrect.rollout import check_room, rollout
from tiny import Toy, grade, language_model, plain_logprobs, torch_engine

LM = language_model(seed=2, scale=8.0)
TASK = Toy()
PROBLEMS = TASK.problems("train")[:5]
CORRECTION = TASK.prompts.correction


def roll(seed: int = 0, **changes) -> list[Trace]:
    settings = {
        "instruction": CORRECTION,
        "turns": 2,
        "samples": 4,
        "max_new_tokens": 6,
        "temperature": 1.0,
        "seeds": [seed + place for place in range(len(PROBLEMS))],
    }
    return rollout(torch_engine(LM), LM.chat, TASK, PROBLEMS, **{**settings, **changes})


def content(attempt: Attempt) -> str:
    """An attempt as the template is given it: its EOS is the template's to write."""
    text: str = LM.chat.tokenizer.decode(attempt.tokens)
    return text.removesuffix(EOS)


def rendered(trace: Trace, attempts: list[Attempt], instruction: str = CORRECTION) -> str:
    """The chat template's own text of a whole conversation, up to the next attempt."""
    messages = [{"role": "user", "content": TASK.prompts.opening(trace.problem.question)}]
    for attempt in attempts:
        messages.append({"role": "assistant", "content": content(attempt)})
        messages.append({"role": "user", "content": instruction})
    text: str = LM.chat.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    return text


def context(trace: Trace, turn: int) -> list[int]:
    """All tokens before attempt ``turn`` (from 1), where nothing has been forgotten."""
    tokens: list[int] = []
    for attempt in trace.attempts[: turn - 1]:
        tokens += [*attempt.prompt, *attempt.tokens]
    return [*tokens, *trace.attempts[turn - 1].prompt]


def check_logprobs(tokens: list[int], attempt: Attempt, temperature: float = 1.0) -> None:
    plain = plain_logprobs(LM.model, tokens, attempt.tokens, temperature)
    torch.testing.assert_close(torch.tensor(attempt.logprobs), plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize("instruction", [CORRECTION, TASK.prompts.refinement])
def test_an_attempt_is_sampled_in_the_context_of_all_before(instruction):
    traces = roll(turns=3, instruction=instruction)
    assert {a.truncated for t in traces for a in t.attempts} == {True, False}
    for trace in traces:
        for turn in (1, 2, 3):
            tokens, attempt = context(trace, turn), trace.attempts[turn - 1]
            assert LM.chat.tokenizer.decode(tokens) == rendered(
                trace, trace.attempts[: turn - 1], instruction
            )
            check_logprobs(tokens, attempt)


def test_logprobs_are_at_the_sampling_temperature():
    for trace in roll(temperature=0.6):
        for turn in (1, 2):
            check_logprobs(context(trace, turn), trace.attempts[turn - 1], 0.6)


def test_the_text_is_what_was_written():
    for trace in roll():
        for attempt in trace.attempts:
            assert attempt.text == LM.chat.decode([attempt.tokens])[0]
            assert EOS not in attempt.text


def test_the_instruction_is_the_same_whatever_the_attempt_was():
    bridge = list(LM.chat.bridge(CORRECTION))
    seen = set()
    for trace in roll(samples=16):
        first, second = trace.attempts
        right = grade(TASK, trace.problem, first.text, first.truncated).reward
        assert list(second.prompt) == (bridge if first.truncated else bridge[1:])
        seen.add((right, first.truncated))
    assert len(seen) == 4, "right and wrong, ended and truncated first attempts should occur"


def test_traces_lie_by_problem():
    traces = roll(samples=3)
    assert [(t.problem.id, t.sample) for t in traces] == [
        (problem.id, sample) for problem in PROBLEMS for sample in range(3)
    ]
    assert {len(t.attempts) for t in traces} == {2}
    assert not any(a.given for t in traces for a in t.attempts)


def test_a_seed_gives_the_same_traces():
    assert roll(seed=3) == roll(seed=3)
    assert roll(seed=3) != roll(seed=4)


def test_a_problems_traces_do_not_depend_on_the_problems_beside_it():
    whole = roll()
    for place, problem in enumerate(PROBLEMS):
        alone = rollout(
            torch_engine(LM), LM.chat, TASK, [problem], instruction=CORRECTION, turns=2, samples=4,
            max_new_tokens=6, temperature=1.0, seeds=[place],
        )  # fmt: skip
        beside = whole[4 * place : 4 * place + 4]
        assert [[a.tokens for a in t.attempts] for t in alone] == [
            [a.tokens for a in t.attempts] for t in beside
        ]


def test_turns_draw_from_streams_of_their_own():
    """With one stream for all turns, a model that forgot the first turn would repeat itself."""
    flat = language_model(scale=0.0)  # every token equally likely, always
    traces = rollout(
        torch_engine(flat), flat.chat, TASK, PROBLEMS, instruction=CORRECTION, turns=2, samples=4,
        max_new_tokens=6, temperature=1.0, seeds=range(len(PROBLEMS)),
    )  # fmt: skip
    assert sum(t.attempts[0].tokens == t.attempts[1].tokens for t in traces) <= 2


def test_more_turns_leave_earlier_attempts_as_they_were():
    two, three = roll(turns=2), roll(turns=3)
    assert [t.attempts for t in two] == [t.attempts[:2] for t in three]


# --- forgetting ---------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2])
def test_a_model_sees_the_problem_and_the_last_attempts(window):
    for trace in roll(turns=5, window=window):
        for turn in range(1, 6):
            attempt = trace.attempts[turn - 1]
            read_anew = turn > window + 1  # then the prompt is the whole conversation
            tokens = list(attempt.prompt) if read_anew else context(trace, turn)
            seen = trace.attempts[max(0, turn - 1 - window) : turn - 1]
            assert LM.chat.tokenizer.decode(tokens) == rendered(trace, seen)
            check_logprobs(tokens, attempt)


def test_a_window_that_is_never_full_changes_nothing():
    assert roll(turns=3, window=2) == roll(turns=3)


# --- first attempts by another writer -----------------------------------------------------------


def test_second_attempts_go_on_from_given_first_ones():
    others = [trace.attempts[0] for trace in roll(samples=1, seed=13)]
    assert {first.truncated for first in others} == {True, False}
    traces = roll(first_attempts=others, turns=3)
    for number, trace in enumerate(traces):
        given, *own = trace.attempts
        opening = LM.chat.opening(TASK.prompts.opening(trace.problem.question))
        assert given == replace(others[number // 4], given=True, prompt=opening)
        assert [a.given for a in own] == [False, False]
        for turn in (2, 3):
            tokens = context(trace, turn)
            assert LM.chat.tokenizer.decode(tokens) == rendered(trace, trace.attempts[: turn - 1])
            check_logprobs(tokens, trace.attempts[turn - 1])
    assert not any(first.given for first in others), "the writer's own records stay as they are"


def test_given_first_attempts_and_a_window():
    others = [trace.attempts[0] for trace in roll(samples=1, seed=9)]
    for trace in roll(first_attempts=others, turns=3, window=1):
        tokens = list(trace.attempts[2].prompt)
        assert LM.chat.tokenizer.decode(tokens) == rendered(trace, trace.attempts[1:2])
        check_logprobs(tokens, trace.attempts[2])


def test_a_given_attempt_that_leaves_no_room_is_named():
    """To the token: what is refused is what sampling would refuse."""
    lm, (short, long) = language_model(), TASK.problems("train")[:2]
    given = [(short, "1"), (long, "12345")]
    texts = {"instruction": CORRECTION, "max_new_tokens": 4}
    firsts = [lm.chat.attempt(text) for _, text in given]
    traces = rollout(
        torch_engine(lm), lm.chat, TASK, [short, long], **texts, turns=2, samples=1,
        temperature=1.0, seeds=[0, 1], first_attempts=firsts,
    )  # fmt: skip
    of_long = traces[1].attempts
    enough = len(of_long[0].prompt) + len(firsts[1].tokens) + len(of_long[1].prompt) + 4 - 1
    check_room(lm.chat, TASK, given, **texts, context=enough, place="given.jsonl")
    with pytest.raises(FileProblem, match=rf"^given\.jsonl: the attempt at {long.id} has 6 tokens"):
        check_room(lm.chat, TASK, given, **texts, context=enough - 1, place="given.jsonl")
