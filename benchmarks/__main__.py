"""``python -m benchmarks NAME [--json]``: exits 0 when every row holds, 1 when one does not, 2 for wrong usage."""

import argparse
import sys

from benchmarks import batch, longpoll, plan, publish, schedule
from benchmarks.report import print_report

BENCHMARKS = {"batch": batch, "longpoll": longpoll, "plan": plan, "publish": publish, "schedule": schedule}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, module in BENCHMARKS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = names.add_parser(name, help=summary, description=module.__doc__)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument("--rounds", type=int, default=5, help="measure ours and the peer this often, in turn")
        command.add_argument("--seconds", type=int, default=5, help="length of one measurement")
        if name == "schedule":
            command.add_argument("--waiting", type=int, default=schedule.WAITING, help="messages that wait meanwhile")
    arguments = vars(parser.parse_args())
    name, as_json = arguments.pop("name"), arguments.pop("json")
    rows, notes = BENCHMARKS[name].run(**arguments)
    print_report(name, rows, notes, as_json=as_json)
    return 0 if all(row.holds for row in rows) else 1


sys.exit(main())
