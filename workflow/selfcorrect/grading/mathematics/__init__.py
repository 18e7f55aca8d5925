"""Grading final answers in mathematics: read off an attempt, then compared in bounded time.

``final_answer.py`` finds the answer in a text, ``notation.py`` brings it into one notation,
``equality.py`` says whether two answers are the same, and ``judge.py`` does that in a process that
can be killed. Whoever grades imports ``judge``; sympy is loaded in that process alone.
"""
