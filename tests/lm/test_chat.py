"""Conversations as tokens: openings and bridges against the template's own rendering."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from selfcorrect.lm.chat import Chat, ChatTemplateError
from selfcorrect.lm.tokenizer import ASSISTANT, CHAT_TEMPLATE, EOS, USER
from selfcorrect.prompts import CARRY
from templates import FAMILIES, QWEN3_WITHOUT_THINKING
from tiny import tokenizer

CHAT = Chat(tokenizer())
INSTRUCTIONS = [CARRY.correction, CARRY.refinement]
answers = st.text("0123456789", min_size=1, max_size=8)


def with_template(template: str | None) -> Any:
    made = tokenizer()
    made.chat_template = template
    return made


def rendered(*contents: str) -> str:
    """The template's own text of a conversation, the model's turn next."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    text: str = CHAT.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    return text


def encoded(text: str) -> list[int]:
    ids: list[int] = CHAT.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def test_a_conversation_reads_like_this():
    assert rendered("What is 1?", "2", "Correct any error.") == (
        f"{USER}What is 1?{ASSISTANT}2{EOS}{USER}Correct any error.{ASSISTANT}"
    )


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
@given(question=answers, attempts=st.lists(answers, min_size=1, max_size=3))
def test_opening_and_bridges_make_the_templates_conversation(instruction, question, attempts):
    tokens = CHAT.opening(CARRY.opening(question))
    contents = [CARRY.opening(question)]
    for attempt in attempts:
        tokens = [*tokens, *encoded(attempt), *CHAT.bridge(instruction)]
        contents += [attempt, instruction]
    assert tokens == encoded(rendered(*contents))
    assert CHAT.tokenizer.decode(tokens) == rendered(*contents)


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_a_bridge_begins_with_the_eos_that_ends_an_attempt(instruction):
    bridge = CHAT.bridge(instruction)
    assert bridge[0] == CHAT.eos
    assert bridge.count(CHAT.eos) == 1
    assert CHAT.tokenizer.decode(bridge) == f"{EOS}{USER}{instruction}{ASSISTANT}"


def test_instructions_differ():
    assert CHAT.bridge(INSTRUCTIONS[0]) != CHAT.bridge(INSTRUCTIONS[1])


def test_openings_are_the_opening_of_each():
    messages = [CARRY.opening(question) for question in ("1+2", "33+4", "5")]
    assert CHAT.openings(messages) == [CHAT.opening(message) for message in messages]


@given(st.lists(answers, min_size=1, max_size=3))
def test_decoding_gives_the_text_back_without_eos(texts):
    assert CHAT.decode([[*encoded(text), CHAT.eos] for text in texts]) == texts


def test_pad_falls_back_on_eos():
    made = tokenizer()
    made.pad_token = None
    assert Chat(made).pad == CHAT.eos != CHAT.pad


# --- tokenizers that cannot carry a conversation ------------------------------------------------


def test_no_template():
    with pytest.raises(ChatTemplateError, match=r"no chat template.*Instruct"):
        Chat(with_template(None))


REWRITING = {
    "drops earlier attempts": CHAT_TEMPLATE.replace(
        ASSISTANT + "{{ message['content'] }}", ASSISTANT + "{{ message['content'] if loop.last }}"
    ),
    "changes earlier attempts": CHAT_TEMPLATE.replace(
        "{{ message['content'] }}" + EOS, "{{ message['content'] | reverse | join }}" + EOS
    ),
    "changes the first question": CHAT_TEMPLATE.replace(
        USER + "{{ message['content'] }}",
        USER + "{{ message['content'] if messages | length == 1 else '' }}",
    ),
}


@pytest.mark.parametrize("template", REWRITING.values(), ids=REWRITING)
def test_a_template_that_rewrites_earlier_turns(template):
    assert template != CHAT_TEMPLATE
    with pytest.raises(ChatTemplateError, match="rewrites an earlier turn"):
        Chat(with_template(template)).bridge(INSTRUCTIONS[0])


@pytest.mark.parametrize("closing", ["", " ", USER])
def test_a_template_that_does_not_close_an_attempt_with_eos(closing):
    template = CHAT_TEMPLATE.replace(EOS, closing)
    with pytest.raises(ChatTemplateError, match="does not end an attempt with a special token"):
        Chat(with_template(template)).bridge(INSTRUCTIONS[0])


def test_text_after_the_eos_belongs_to_the_bridge():
    """As in templates that break the line after each turn."""
    chat = Chat(with_template(CHAT_TEMPLATE.replace(EOS, EOS + ".")))
    own, plain = chat.bridge(INSTRUCTIONS[0]), CHAT.bridge(INSTRUCTIONS[0])
    assert own == (plain[0], *encoded("."), *plain[1:])


def test_the_name_is_in_the_message():
    made = copy.copy(with_template(None))
    made.name_or_path = "somebody/some-model"
    with pytest.raises(ChatTemplateError, match="somebody/some-model"):
        Chat(made)


@given(st.text("0123456789", min_size=1, max_size=5), answers)
def test_an_attempt_by_another_writer_is_read_as_the_models_own_would_be(question, answer):
    attempt = CHAT.attempt(answer)
    bridge = CHAT.bridge(CARRY.correction)[1:]  # the attempt has its EOS
    conversation = [*CHAT.opening(question), *attempt.tokens, *bridge]
    assert conversation == encoded(rendered(question, answer, CARRY.correction))
    assert attempt.given and not attempt.truncated
    assert attempt.text == CHAT.decode([attempt.tokens])[0]
    assert len(attempt.logprobs) == len(attempt.tokens)


# --- templates in the manner of known families --------------------------------------------------


def of_family(name: str, template: str | None = None) -> Any:
    """A byte-level tokenizer with a family's template and special tokens."""
    own, _, eos, bos, more = FAMILIES[name]
    template = template or own
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(["What is 1+2?", "Correct any error."], vocab_size=300)
    special = [token for token in (eos, bos, *more) if token]
    made.add_special_tokens(special)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made._tokenizer,
        eos_token=eos,
        bos_token=bos,
        chat_template=template or own,
    )
    wrapped.add_special_tokens({"additional_special_tokens": more})
    return wrapped


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_conversation_is_its_templates(name):
    tokenizer = of_family(name)
    chat = Chat(tokenizer)
    assert tokenizer.convert_ids_to_tokens(chat.eos) == FAMILIES[name][1]
    said = ["What is 1+2?", "It is 4.", "Correct any error.", "It is 3.", "Correct any error."]
    tokens = chat.opening(said[0])
    for attempt, instruction in zip(said[1::2], said[2::2], strict=True):
        written = [*tokenizer(attempt, add_special_tokens=False)["input_ids"], chat.eos]
        assert chat.decode([written]) == [attempt]
        tokens = [*tokens, *written, *chat.bridge(instruction)[1:]]
    messages = [
        {"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(said)
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert tokenizer.decode(tokens) == rendered


def test_a_template_that_tells_the_time_tells_the_same_one_always():
    dated = "\n {{ strftime_now('%d %b %Y %f') }}" + FAMILIES["qwen2"][0]
    tokenizer = of_family("qwen2", dated)
    asked = [{"role": "user", "content": "What is 1+2?"}]
    today, later = (tokenizer.apply_chat_template(asked, tokenize=False) for _ in range(2))
    assert today != later  # to the microsecond
    one, other = (Chat(tokenizer).opening("What is 1+2?") for _ in range(2))
    assert one == other
    assert tokenizer.decode(one).startswith("\n 26 Jul 2024")


def test_a_pad_token_that_is_missing_is_what_ends_an_attempt():
    chat = Chat(of_family("gemma2"))
    assert chat.tokenizer.pad_token is None
    assert chat.pad == chat.eos


def test_a_template_that_puts_something_before_the_last_attempt_alone_is_refused():
    with pytest.raises(ChatTemplateError, match="rewrites an earlier turn"):
        Chat(of_family("qwen3", QWEN3_WITHOUT_THINKING))
