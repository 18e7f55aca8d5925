"""Grading: from the text of an attempt to a verdict."""
