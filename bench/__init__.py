"""Measurements: how fast, how much, on this machine.  ``make bench`` runs them all."""
