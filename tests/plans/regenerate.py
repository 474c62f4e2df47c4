"""Writes the plans of the golden cases anew: ``python tests/plans/regenerate.py [CASE…]``. No test runs this."""

import json
import sys
from pathlib import Path

# What pytest does for the tests: theirs are modules beside each other, not a package.
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from golden import CASES, folder_of, plan_of  # noqa: E402

from reconciler.planning.markdown import markdown  # noqa: E402
from reconciler.planning.render import as_json, text  # noqa: E402

for case in sys.argv[1:] or CASES:
    plan = plan_of(case)
    (folder_of(case) / "plan.txt").write_text(text(plan, "manifests"), "utf-8")
    (folder_of(case) / "plan.md").write_text(markdown(plan, "manifests"), "utf-8")
    (folder_of(case) / "plan.json").write_text(json.dumps(as_json(plan), indent=2, ensure_ascii=False) + "\n", "utf-8")
