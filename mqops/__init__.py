"""mqops: a messaging platform configured by commits.

``mqops`` is the data plane, asynchronous throughout; ``reconciler`` beside it is the control plane, synchronous
throughout. Imports go one way, as ``pyproject.toml`` states under ``tool.importlinter``.
"""

__version__ = "0.1.0"
