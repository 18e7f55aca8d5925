"""Running programs that a model wrote, with tests that they cannot reach.

A policy that is paid for passing tests finds every hole in the way they are run. So a program runs
in a process of its own that knows nothing of the tests, behind several layers of isolation
(``layers``); the tests run in another (``judge.py``), which asks it for plain data and compares.
``pool.py`` is the way in. Nothing is imported here: a worker holds only what it needs.
"""
