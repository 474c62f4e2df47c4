"""``python -m mqops.cli``: the same command, for processes that start each other without knowing the PATH."""

from mqops.cli import main

main()
