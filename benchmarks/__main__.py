"""``python -m benchmarks NAME [--json]``: exits 0 when every row holds, 1 when one does not, 2 for wrong usage."""

import argparse
import sys

from benchmarks import plan, publish
from benchmarks.report import print_report

BENCHMARKS = {"plan": plan, "publish": publish}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, module in BENCHMARKS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = names.add_parser(name, help=summary, description=module.__doc__)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument("--rounds", type=int, default=5, help="measure ours and the peer this often, in turn")
        command.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    arguments = parser.parse_args()
    rows, notes = BENCHMARKS[arguments.name].run(rounds=arguments.rounds, seconds=arguments.seconds)
    print_report(arguments.name, rows, notes, as_json=arguments.json)
    return 0 if all(row.holds for row in rows) else 1


sys.exit(main())
