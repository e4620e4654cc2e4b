"""The demonstration: the whole graph launched, exercised, recorded, and reported in one page."""
