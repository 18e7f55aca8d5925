"""The `precedence` testbed: arithmetic functions in Python that need parentheses.

"Take x, plus five, times three, minus two." is to become ``return (x+5)*3-2``. The operations
apply from left to right, so every pair of parentheses opens at the start, and one is needed
exactly where a product follows a sum; a problem's level is how many it needs. Problems have the
shape of HumanEval's: the model is shown the docstring of a function and writes its body. As in
`carry`, solvers of different care write the corpus.
"""
