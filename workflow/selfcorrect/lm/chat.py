"""Conversations as tokens, through a tokenizer's own chat template.

Turn 2 is sampled after the very tokens that turn 1 was sampled as; nothing is decoded and encoded
again in between. So a conversation is an opening (everything before the first attempt), and
between two attempts a bridge: what the template puts after an attempt, the instruction, and what
the template puts before the next attempt.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from selfcorrect.files import FileProblem
from selfcorrect.records import Attempt

QUESTION, ATTEMPT = "17+25", "42"  # for looking at how a template renders a conversation
# Templates that tell the model today's date are told this one: a prompt must not change overnight.
DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro +%}"


class ChatTemplateError(FileProblem):
    """A tokenizer whose chat template cannot carry a conversation of several attempts."""


class Chat:
    """The conversations of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        """Raises ChatTemplateError where the tokenizer's template cannot carry a conversation."""
        name = getattr(tokenizer, "name_or_path", "") or "the tokenizer"
        if not tokenizer.chat_template:
            raise ChatTemplateError(
                f"{name}: no chat template. Set `model.path` to a model that has one (most "
                "-Instruct models do), or set `chat_template` in its tokenizer_config.json."
            )
        self.tokenizer = tokenizer
        self.name = name
        template = tokenizer.get_chat_template()
        self._template = DATE + template if "strftime_now" in template else template
        # What ends an attempt is the template's matter: Gemma's is not the tokenizer's EOS token.
        self.eos = self._bridge(QUESTION)[0]
        self.pad = self.eos if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self.bridge = cache(self._bridge)

    def opening(self, message: str) -> list[int]:
        """Tokens of the first user message, up to where the first attempt starts."""
        return self.openings([message])[0]

    def openings(self, messages: Sequence[str]) -> list[list[int]]:
        """``opening`` of many messages at once."""
        rendered = self._render([[_user(message)] for message in messages])
        encoded: list[list[int]] = self.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return encoded

    def attempt(self, text: str) -> Attempt:
        """An attempt by another writer, to go on from."""
        tokens = [*self._encode(text), self.eos]
        return Attempt((), tokens, [0.0] * len(tokens), text, truncated=False, given=True)

    def _bridge(self, instruction: str) -> tuple[int, ...]:
        """Tokens between the end of an attempt (its EOS excluded) and the start of the next.

        Begins with what closes an attempt, a special token first (``eos``); the caller leaves it
        out where the model has written it itself.

        Raises:
            ChatTemplateError: the template rewrites earlier turns, or does not end an attempt with
                a special token.
        """
        asked, answered = _user(QUESTION), {"role": "assistant", "content": ATTEMPT}
        before, after = (self._render([said])[0]
                         for said in ([asked], [asked, answered, _user(instruction)]))  # fmt: skip
        if not after.startswith(before + ATTEMPT):
            raise ChatTemplateError(
                f"{self.name}: its chat template rewrites an earlier turn when a later one is "
                "added, so a second attempt would not be conditioned on what was sampled. Set "
                "`model.path` to a model whose template leaves earlier turns alone."
            )
        bridge = self._encode(after[len(before + ATTEMPT) :])
        # A token that opens a turn ends none: then nothing stands between an attempt and the next.
        opening = [token for token in self._encode(before) if token != self.tokenizer.bos_token_id]
        if not bridge or bridge[0] not in self._special or bridge[0] == opening[0]:
            raise ChatTemplateError(
                f"{self.name}: its chat template does not end an attempt with a special token, so "
                "nothing would tell where an attempt ends. Set `model.path` to a model whose "
                "template does."
            )
        return tuple(bridge)

    @cached_property
    def _special(self) -> frozenset[int]:
        added = self.tokenizer.added_tokens_decoder.items()
        special = (number for number, token in added if token.special)
        return frozenset([*special, *self.tokenizer.all_special_ids])

    def decode(self, completions: Sequence[Sequence[int]]) -> list[str]:
        """Texts of completions, special tokens left out."""
        texts: list[str] = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        return texts

    def _render(self, conversations: list[list[dict[str, str]]]) -> list[str]:
        texts: list[str] = self.tokenizer.apply_chat_template(
            conversations,
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        return texts

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}
