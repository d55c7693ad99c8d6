"""The command line: arguments in, exit codes out. Heavy imports stay inside the commands."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from btg.errors import BtgError, is_interruption

EPILOGS = {
    "refresh": "examples:\n  btg refresh\n  btg refresh --offline",
    "plan": "examples:\n  btg plan\n  btg plan --only cbs --json",
    "status": "examples:\n  btg status\n  btg status --json",
    "check": "examples:\n  btg check\n  btg check --format github",
    "explain": "examples:\n  btg explain GM0153 2022\n  btg explain Enschede 2022 woninginbraak\n"
    "  btg explain Enschede 2022 --variant "
    "'form=geometric_goalposts|weights=pca|set=all|ruler=none|base=nearest'",
    "index": "examples:\n  btg index --weights weights.yml\n"
    "  btg index --weights weights.csv --year 2021 --json",
    "import": "examples:\n  btg import rmbw rmbw-2024.csv\n  btg import kiesraad turnout.csv",
    "raw": "examples:\n  btg raw list\n  btg raw accept 70072ned_20261124T031500_0a1b2c3d4e5f "
    "--reason 'redesign, checked by hand'",
    "diff": "examples:\n  btg diff\n  btg diff --json",
    "rollback": "examples:\n  btg rollback\n  btg rollback 20261124T031500_123",
    "rebase": "examples:\n  btg rebase --reason 'new indicator on housing'\n"
    "  btg rebase --dry-run --reason 'what would move'",
    "sources": "examples:\n  btg sources verify\n  btg sources verify --only cbs",
    "doctor": "examples:\n  btg doctor\n  btg doctor --notify",
    "bench": "examples:\n  btg bench\n  btg bench --json",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an expected error is one sentence on stderr."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    from btg import commands

    run: Callable[[argparse.Namespace], int] = getattr(
        commands, arguments.command.replace("-", "_")
    )
    if argv is None:
        # as a program: a service that is stopped, or its limit, ends a run like an interruption
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(arguments)
    except BtgError as error:
        if arguments.json:
            _print_json({"error": str(error), "exit_code": error.exit_code})
        print(f"btg {arguments.command}: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interruption(error):
            raise
        print("btg: interrupted; nothing was published", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="btg",
        description="BTG open-data index: regional well-being and its change since 2019",
        epilog="exit codes: 0 done or nothing to do; 1 crash; 2 usage or catalogue error; "
        "3 blocked or nothing usable, published file unchanged; 4 a usable file is in place, but "
        "a source is unreachable, quarantined or too old",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    refresh = _add(commands, "refresh", "take what is new, check, build and publish")
    refresh.add_argument("--offline", action="store_true", help="ask no source; use what is here")
    refresh.add_argument("--full", action="store_true", help="fetch all, whatever Modified says")
    refresh.add_argument("--only", metavar="SOURCE", help="ask this source only")
    refresh.add_argument(
        "--as-of",
        metavar="DATE",
        help="rebuild as known on a date (YYYY-MM-DD), into a file of its own",
    )
    plan = _add(commands, "plan", "what a refresh would fetch, and why; writes nothing")
    plan.add_argument("--offline", action="store_true")
    plan.add_argument("--full", action="store_true")
    plan.add_argument("--only", metavar="SOURCE")
    _add(commands, "status", "state and freshness of every source, and of the published file")
    check = _add(commands, "check", "data quality and catalogue, no network; for CI and pre-commit")
    check.add_argument("--format", choices=["text", "github"], default="text")
    check.add_argument(
        "--update-golden",
        action="store_true",
        help="write the golden figures anew and print the difference",
    )
    explain = _add(commands, "explain", "the chain from an index row to the raw cell")
    explain.add_argument("region", help="code or name, such as GM0153 or Enschede")
    explain.add_argument("year", type=int)
    explain.add_argument("item", nargs="?", help="dimension or indicator")
    explain.add_argument(
        "--variant", metavar="ID", help="recompute the index under this variant (see meta.variant)"
    )
    index = _add(commands, "index", "the index under other weights, beside the published one")
    index.add_argument(
        "--weights",
        metavar="FILE",
        required=True,
        help="YAML mapping or CSV (item_id,weight) of dimensions or indicators; sums to 1",
    )
    index.add_argument("--year", type=int, help="index year; default: the last")
    importer = _add(commands, "import", "take in an edition file", dest="import_file")
    importer.add_argument("source", help="source of the file, such as rmbw")
    importer.add_argument("file")
    importer.add_argument("--table", help="which table, if the source has several")
    raw = _add(commands, "raw", "list, verify or accept raw snapshots")
    raw.add_argument("action", choices=["list", "verify", "accept"])
    raw.add_argument("snapshot", nargs="?")
    raw.add_argument("--reason")
    _add(
        commands, "diff", "what changed in the sources since the published file, before publishing"
    )
    rollback = _add(commands, "rollback", "put a file of the history back")
    rollback.add_argument("run", nargs="?", metavar="RUN")
    rebase = _add(commands, "rebase", "compute and freeze the ruler of a new method version")
    rebase.add_argument("--reason", required=True)
    rebase.add_argument("--dry-run", action="store_true")
    sources = _add(commands, "sources", "probe every declared id and key live")
    sources.add_argument("action", choices=["verify"])
    sources.add_argument("--only", metavar="SOURCE")
    doctor = _add(commands, "doctor", "whether this machine can do its nightly work")
    doctor.add_argument(
        "--notify", action="store_true", help="tell the webhook (BTG_WEBHOOK_URL) what is not well"
    )
    bench = _add(commands, "bench", "measure the stages on this machine")
    bench.add_argument("--rounds", type=_positive, default=3, help="at least 1")
    bench.add_argument("--no-flow", action="store_true", help="without Prefect")
    return parser


def _add(commands: Any, name: str, text: str, dest: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=EPILOGS[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="machine output alone on stdout")
    if dest:
        parser.set_defaults(command=dest)
    return parser


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _positive(text: str) -> int:
    """Return a whole number of at least 1; for argparse, which turns the error into usage."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=1, default=str))


if __name__ == "__main__":
    sys.exit(main())
