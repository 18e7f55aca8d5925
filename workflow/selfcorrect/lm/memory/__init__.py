"""How much memory a job needs, computed from its spec and its model's configuration alone.

``shape`` reads the model, ``conversations`` the prompts; ``activations`` and ``kv_cache`` hold the
formulas, ``needs`` adds them up for each kind of job in the ``terms`` of a plan, ``remedies`` tries
what would make a job fit, and ``verdict`` says so. How far the formulas are off is measured in
docs/memory.md.
"""
