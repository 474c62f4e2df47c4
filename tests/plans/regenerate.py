"""Writes the plans of the golden cases anew: ``python tests/plans/regenerate.py [CASE…]``. No test runs this."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from golden import CASES, folder_of, plan_of

from reconciler.render import as_json, text

for case in sys.argv[1:] or CASES:
    plan = plan_of(case)
    (folder_of(case) / "plan.txt").write_text(text(plan, "manifests"), "utf-8")
    (folder_of(case) / "plan.json").write_text(json.dumps(as_json(plan), indent=2, ensure_ascii=False) + "\n", "utf-8")
