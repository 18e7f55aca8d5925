"""From graded attempts and training logs to tables and figures; imports no torch."""
