"""A word-level tokenizer for tiny models, with a chat template: an ordinary `transformers` one.

Text is cut into the pieces that a testbed names, and what lies between them into single digits,
words with the space before them, and lone signs and spaces; every piece is a token, and decoding
gives the text back unchanged.
"""

import re
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

PAD, EOS, USER, ASSISTANT, UNKNOWN = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unk|>"
OTHER = r"\d|[^\w\s]| ?[^\W\d]+|\s"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}" + USER + "{{ message['content'] }}"
    "{%- elif message['role'] == 'assistant' -%}"
    + ASSISTANT + "{{ message['content'] }}" + EOS +
    "{%- else -%}{{ raise_exception('this template knows the roles user and assistant') }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}" + ASSISTANT + "{%- endif -%}"
)  # fmt: skip


def word_level_tokenizer(
    texts: Iterable[str], pieces: Iterable[str] = ()
) -> PreTrainedTokenizerFast:
    """A tokenizer whose vocabulary is ``pieces`` and every other piece that occurs in ``texts``.

    Where several of ``pieces`` begin at the same place, the longest is taken.
    """
    special = [PAD, EOS, USER, ASSISTANT, UNKNOWN]
    named = sorted(set(pieces), key=lambda piece: (-len(piece), piece))
    pattern = "|".join([*map(re.escape, named), OTHER])
    found = {piece for text in texts for piece in re.findall(pattern, text)}
    vocabulary = {piece: index for index, piece in enumerate([*special, *sorted({*named, *found})])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
