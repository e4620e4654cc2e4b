"""What is wrong with an installation or a running graph, and what to do about it.

`installation` and `collector` take a snapshot of what there is; the checks are functions of a snapshot alone.
"""
