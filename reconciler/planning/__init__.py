"""From what is desired and what is there to what is to be done. Pure: values in, values out.

diff (fields, drift, placement) → scope → refusals → plan → render;  target says which scripts carry it out
"""
