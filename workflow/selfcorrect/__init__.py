"""SCoRe (arXiv 2409.12917): self-correction by reinforcement learning, reproduced in the open.

The package is built in floors; an import goes down or sideways inside a floor, never up:

0. ``records``, ``tracefile``, ``files``, ``seeds``, ``progress``: nouns and their files;
   ``validation``, ``spec``, ``config``, ``jobs``, ``reporting``, ``plan``, ``reference``: the
   config and its jobs;
   ``paper``, ``provenance``, ``codehash``: facts about results
1. ``prompts``, ``grading``, ``tasks``: problems, their texts and their verdicts
2. ``lm``, ``rollout``, ``collect``: language models, and traces sampled from them
3. ``learning``: selection of traces, fine-tuning, the two-turn policy gradient
4. ``analysis``: metrics, statistics, tables, figures
5. ``steps``: one small module a workflow rule
"""

__version__ = "0.1.0"
