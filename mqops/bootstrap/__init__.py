"""Puts the parts together and runs them: `up`, `serve`, `work`, and the stores for control-plane commands.

The only place that knows both planes; everything below is handed what it needs as arguments.
"""
