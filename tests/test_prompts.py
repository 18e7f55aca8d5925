"""A text that a model is shown does not change without its version."""

import hashlib

import pytest

from selfcorrect import prompts
from selfcorrect.prompts import Prompts

# The paper's, word for word (App. C).
FORM = 'write it in the form "Final Answer: The final answer is $answer$. I hope it is correct."'
MATH_CORRECTION = (
    "There might be an error in the solution above because of lack of understanding of the "
    "question. Please correct the error, if any, and rewrite the solution. Only output the final "
    f"solution! At the end of the Solution, when you give your final answer, {FORM}"
)
CODE_CORRECTION = (
    "# There might be an error in the code above because of lack of understanding of the "
    "question. Please correct the error, if any, and rewrite the solution. Only output the final "
    "correct Python program!"
)

# Change one, and its version in prompts.py goes up too: results name it.
TEXTS = {
    "carry/1": "2f761865c0102d97",
    "precedence/1": "924bc7d5de9b9403",
    "math/1": "7e47cb64de55cd29",
    "mbpp/1": "a3f3a93e6f5d5fef",
    "humaneval/1": "d27587402e908102",
}


@pytest.mark.parametrize(
    "of", [each for each in vars(prompts).values() if isinstance(each, Prompts)],
    ids=lambda of: of.version,
)  # fmt: skip
def test_a_changed_text_is_a_new_version(of):
    assert TEXTS[of.version] == hashlib.sha256(repr(of).encode()).hexdigest()[:16]


def test_the_papers_own_texts():
    assert prompts.MATH.correction == MATH_CORRECTION
    assert FORM in prompts.MATH.first
    assert prompts.MBPP.correction == prompts.HUMANEVAL.correction == CODE_CORRECTION
