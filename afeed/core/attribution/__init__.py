"""Which talk an item is about: item and schedule in, :class:`~afeed.core.attribution.filing.Filing` out.  Pure.

``index`` prepares a schedule once, ``filing`` weighs the evidence for one item, ``weights`` says how much each
kind counts, ``tokens`` takes texts apart, ``words`` holds those that say nothing.
"""
