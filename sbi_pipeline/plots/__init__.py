"""Figures: functions from labelled data to matplotlib Figures, ready for a paper.

Colours are those of Okabe and Ito, told apart by colour-blind readers; every estimator keeps its
own through all figures (`style.palette`). No figure touches pyplot's global state. Figures of
diagnostics stand with them, in ``diagnostics/``.
"""
