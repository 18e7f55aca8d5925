"""The steps of the workflow: one small module a rule, none of which imports another."""
