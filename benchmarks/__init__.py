"""Benchmarks: ours and a peer, side by side on the same server in one run, as a ratio.

``python -m benchmarks`` lists them, ``python -m benchmarks NAME`` runs one. Each says how to install its peer and still
prints our own figure without it. Machines are noisy: the two are measured in turn, several times, and the medians and
the median of the ratios are what is printed.
"""
