"""The texts a model is shown, by task and versioned: a changed text is a new version.

``first`` wraps the question of a problem; ``correction`` is the paper's fixed self-correction
instruction p1, the same for every problem and whatever the attempt was; ``refinement`` is
Self-Refine's (its text is not printed in the paper). The others replace p1, to find out whether
self-correction hangs on its text: ``rewording`` says the same in other words, ``separator`` is a
mark without meaning, and with ``none`` the message between two attempts is empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from selfcorrect.spec.kinds import Instruction


@dataclass(frozen=True)
class Prompts:
    """The texts of one task."""

    version: str
    first: str
    correction: str
    refinement: str
    rewording: str
    separator: str = "---"

    def opening(self, question: str) -> str:
        """The first user message; braces in either text are text."""
        return self.first.replace("{question}", question)

    def instruction(self, kind: Instruction) -> str:
        """The user message after an attempt."""
        return self.instructions[kind]

    @property
    def instructions(self) -> Mapping[Instruction, str]:
        """Every text that may follow an attempt."""
        return {
            "correction": self.correction,
            "refinement": self.refinement,
            "rewording": self.rewording,
            "separator": self.separator,
            "none": "",
        }


# Short on purpose: every word is a token, and tokens are what the default run's time goes into.
CARRY = Prompts(
    version="carry/1",
    first="What is {question}?",
    correction="Correct any error.",
    refinement="Review and refine.",
    rewording="Once more, without mistakes.",
)

# The question is the docstring of the function whose body the model writes.
PRECEDENCE = Prompts(
    version="precedence/1",
    first="Take {question}.",
    correction="Fix any bug.",
    refinement="Review and refine.",
    rewording="Once more, without mistakes.",
)

# The first turn and p1 are the paper's, word for word (App. C).
MATH_ANSWER = (
    'At the end of the Solution, when you give your final answer, write it in the form "Final '
    'Answer: The final answer is $answer$. I hope it is correct."'
)
MATH = Prompts(
    version="math/1",
    first=(
        "You are a math expert. When you respond, respond only with the Solution of the final "
        f"Problem, thinking step by step. {MATH_ANSWER}\n\nProblem:\n{{question}}\n\nSolution:"
    ),
    correction=(
        "There might be an error in the solution above because of lack of understanding of the "
        "question. Please correct the error, if any, and rewrite the solution. Only output the "
        f"final solution! {MATH_ANSWER}"
    ),
    refinement=(
        "Review the solution above as a critical reader would: go through it step by step, and say "
        "what is wrong with it or could be better. Then write the final solution, with every one "
        f"of these points put right. {MATH_ANSWER}"
    ),
    rewording=(
        "Please look at your solution once more. If something in it is wrong, put it right. Write "
        f"out the whole solution again, and nothing else. {MATH_ANSWER}"
    ),
)

# p1 is the paper's, word for word (App. C), and the same for both benchmarks, as a model that is
# trained on MBPP is evaluated on HumanEval.
CODE_CORRECTION = (
    "# There might be an error in the code above because of lack of understanding of the question. "
    "Please correct the error, if any, and rewrite the solution. Only output the final correct "
    "Python program!"
)
CODE_REFINEMENT = (
    "Review the program above as a critical reader would: go through it step by step, compare it "
    "with the task, and say what is wrong with it or could be better. Then write the final Python "
    "program, with every one of these points put right, in one ```python block."
)
CODE_REWORDING = (
    "Please look at your program once more. If something in it is wrong, put it right. Write out "
    "the whole program again, and nothing else."
)

# The three shots of the paper and of MBPP's authors: tasks 2, 3 and 4 of its prompt split (CC BY
# 4.0), whose spaces at the ends of lines are left out.
MBPP = Prompts(
    version="mbpp/1",
    first="""\
You are an expert Python programmer, and here is your task: Write a function to find the similar \
elements from the given two tuple lists. Your code should pass these tests:

assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)
assert similar_elements((1, 2, 3, 4),(5, 4, 3, 7)) == (3, 4)
assert similar_elements((11, 12, 14, 13),(17, 15, 14, 13)) == (13, 14)
[BEGIN]
def similar_elements(test_tup1, test_tup2):
  res = tuple(set(test_tup1) & set(test_tup2))
  return (res)
[DONE]

You are an expert Python programmer, and here is your task: Write a python function to identify \
non-prime numbers. Your code should pass these tests:

assert is_not_prime(2) == False
assert is_not_prime(10) == True
assert is_not_prime(35) == True
[BEGIN]
import math
def is_not_prime(n):
    result = False
    for i in range(2,int(math.sqrt(n)) + 1):
        if n % i == 0:
            result = True
    return result
[DONE]

You are an expert Python programmer, and here is your task: Write a function to find the largest \
integers from a given list of numbers using heap queue algorithm. Your code should pass these tests:

assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],3)==[85, 75, 65]
assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],2)==[85, 75]
assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],5)==[85, 75, 65, 58, 35]
[BEGIN]
import heapq as hq
def heap_queue_largest(nums,n):
  largest_nums = hq.nlargest(n, nums)
  return largest_nums
[DONE]

You are an expert Python programmer, and here is your task: {question}
[BEGIN]""",
    correction=CODE_CORRECTION,
    refinement=CODE_REFINEMENT,
    rewording=CODE_REWORDING,
)

# Zero-shot: the question is the start of a program. The paper prints no text; the sentence is ours,
# and asks for no more than its correction instruction does.
HUMANEVAL = Prompts(
    version="humaneval/1",
    first="Complete this Python program. Only output the final Python program!\n\n{question}",
    correction=CODE_CORRECTION,
    refinement=CODE_REFINEMENT,
    rewording=CODE_REWORDING,
)
