"""Fuzzers: one for each parser that reads what comes from outside.

``python -m tests.fuzz`` runs them all, ``python -m tests.fuzz --cases 1000000 --seed 7 x-message`` one of them
for longer.  A case is made from invented samples by seeded mutation, so the same seed makes the same cases; the
check of each target says which errors are documented and what has to hold for everything that is accepted.
"""
