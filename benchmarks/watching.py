"""The watch loop's looks at a tree, timed from within: a process of its own for ``benchmarks plan``.

``python -m benchmarks.watching TREE FILE``: looks until everything is settled, looks again, changes ``FILE`` and looks
once more. Prints seconds and MiB as JSON.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from mqops.bootstrap.control import open_stores
from mqops.settings import settings_from
from reconciler.upkeep import Upkeep, Verdict

_LOOKS = 5


def measure(tree: Path, changed: Path) -> dict[str, float]:
    """Raises ``RuntimeError`` when a look does not settle everything."""
    settings = settings_from(os.environ)
    said: list[str] = []
    upkeep = Upkeep(tree, settings, lambda: open_stores(settings), said.append)

    def look() -> float:
        started = time.perf_counter()
        if upkeep.look() is not Verdict.SETTLED:
            raise RuntimeError("\n".join(said))
        return time.perf_counter() - started

    look()
    warm = max(look() for _ in range(_LOOKS))
    said.clear()
    changed.write_text(changed.read_text().replace("retention: 7d", "retention: 6d", 1))
    took = look()
    if "1 updated" not in said[-1]:
        raise RuntimeError(f"not one was updated: {said}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"warm": warm, "changed": took, "memory": memory}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))
