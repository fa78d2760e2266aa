# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner``: the tasks for a terminal and for scripts.

Options are made from the fields of the request dataclasses. Exit status: 0 done, 2 wrong use or bad input (one line
that says what is wrong and how to mend it), 3 cancelled, 1 anything else.
"""

import argparse
import io
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from model_runner.contract.messages import Finished, encode
from model_runner.contract.model_card import TASKS
from model_runner.contract.task_requests import REQUESTS
from model_runner.errors import Cancelled, RunnerError
from model_runner.report import Report, TerminalReport, json_lines_report, plain_json
from model_runner.tasks import find_task

NEGATIVE_LIST = re.compile(r"-[\d.]+(e-?\d+)?,", re.IGNORECASE)
DONE, FAILED, WRONG_USE, CANCELLED = 0, 1, 2, 3

COMMANDS = {
    "detect": "detect airport.tif --output boxes.gpkg",
    "segment": "segment fields.tif --output classes.tif --polygons classes.gpkg",
    "change": "change before.tif after.tif --output change.tif --polygons change.gpkg",
    "classify": "classify town.tif --output scenes.gpkg",
    "finetune": "finetune --task detect --data dataset --init detect-ucm-l0 --output my-model",
    "evaluate": "evaluate --task detect --data dataset --model my-model --output report",
    "export-data": "export-data town.tif --task detect --labels buildings.gpkg --class-field kind --output dataset",
    "load-data": "load-data dataset --output labels.gpkg --chips chips.gpkg",
}
MODEL_COMMANDS = {
    "download": ("download-model", "models download detect-dota10-l2 --accept-licence"),
    "import": ("import-model", "models import ORCNN_LWGANet_L2_fpn_le90_dota10_ss_e30.pth"),
    "remove": ("remove-model", "models remove my-model"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    for stream in (sys.stdout, sys.stderr):  # in a pipe on Windows they refuse letters that its code page lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(_join_negative_lists(sys.argv[1:] if arguments is None else arguments))
    try:
        return options.action(options)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USE
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        print(f"internal error: {type(error).__name__}: {error}", file=sys.stderr)
        if options.traceback:
            traceback.print_exc()
        else:
            print("Repeat with --traceback in front of the command for a report to the developers.", file=sys.stderr)
        return FAILED


def _join_negative_lists(arguments: Sequence[str]) -> list[str]:
    """``--extent -10,5,…`` as ``--extent=-10,5,…``: argparse would take a list with a minus sign for an option."""
    joined: list[str] = []
    for argument in arguments:
        if NEGATIVE_LIST.match(argument) and joined and joined[-1].startswith("--"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_runner", description="LWGANet on rasters.")
    parser.add_argument("--traceback", action="store_true", help="print the traceback of an internal error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, example in COMMANDS.items():
        _add_task(commands, name, name, example)
    models = commands.add_parser("models", help="list, inspect, download, import and remove models")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    _add_plain(actions, "list", _list_models, "list the models at hand and those that can be downloaded")
    info = _add_plain(actions, "info", _describe_model, "tell all that is known about a model")
    info.add_argument("model", metavar="ID", help="id of the model")
    for name, (task, example) in MODEL_COMMANDS.items():
        _add_task(actions, name, task, example)
    serve = _add_plain(commands, "serve", _serve, "speak the protocol of the plugin on standard input and output")
    serve.add_argument("--idle-seconds", type=float, default=600.0, help="end after this time without work")
    _add_plain(commands, "doctor", _diagnose, "tell what this machine and this installation can do")
    benchmark = _add_plain(commands, "benchmark", _benchmark, "measure ratios of speed and memory on this machine")
    benchmark.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="tasks to measure (default: all)")
    benchmark.add_argument("--training", action="store_true", help="measure the tasks' training, beside a bare loop")
    benchmark.add_argument("--output", metavar="FILE.json", help="file for the figures")
    return parser


def _add_plain(
    commands: Any, name: str, action: Callable[[argparse.Namespace], int], help_text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=help_text, description=help_text, epilog=f"example: python -m model_runner {name}"
    )
    parser.set_defaults(action=action)
    return parser


def _add_task(commands: Any, name: str, task: str, example: str) -> None:
    kind = REQUESTS[task]
    summary = kind.__doc__.splitlines()[0]
    parser = commands.add_parser(
        name, help=summary, description=summary, epilog=f"example: python -m model_runner {example}"
    )
    add_options(parser, kind)
    parser.add_argument("--progress", choices=("bar", "json"), default="bar", help="how progress is shown")
    parser.set_defaults(action=lambda options: _run(task, request_from_options(kind, options), options.progress))


def add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    """Give the parser an option for each field of a request, those of nested dataclasses included."""
    types = get_type_hints(kind)
    for each in fields(kind):
        if is_dataclass(types[each.name]):
            add_options(parser, types[each.name])
        else:
            _add_option(parser, each, types[each.name])


def _add_option(parser: argparse.ArgumentParser, each: Field, kind: Any) -> None:
    form = {key: each.metadata[key] for key in ("help", "metavar", "choices", "nargs") if key in each.metadata}
    if each.metadata.get("positional"):
        parser.add_argument(each.name, **form)
        return
    flag = "--" + each.name.replace("_", "-")
    if kind is bool:
        parser.add_argument(flag, action="store_true", help=form["help"])
        return
    required = each.default is MISSING
    if not required and each.default not in (None, "", ()):
        form["help"] += f" (default: {each.default})"
    parser.add_argument(flag, type=_reader(kind), required=required, default=each.default, **form)


def _reader(kind: Any) -> Callable[[str], Any]:
    """What turns an option's text into a value of the field's type; lists are separated by commas."""
    inner = [each for each in get_args(kind) if each not in (type(None), Ellipsis)]
    if not inner:
        return kind
    if len(inner) == 1 and getattr(kind, "__origin__", None) is not tuple:
        return _reader(inner[0])

    def numbers(text: str) -> tuple:
        return tuple(inner[0](part.strip()) for part in text.split(",") if part.strip())

    numbers.__name__ = f"list of {inner[0].__name__}"
    return numbers


def request_from_options(kind: type, options: argparse.Namespace) -> Any:
    """The request that parsed options stand for."""
    types = get_type_hints(kind)
    return kind(
        **{
            each.name: request_from_options(types[each.name], options)
            if is_dataclass(types[each.name])
            else getattr(options, each.name)
            for each in fields(kind)
        }
    )


def _run(task: str, request: Any, progress: str) -> int:
    report: Report = json_lines_report(sys.stdout) if progress == "json" else TerminalReport()
    finished: Finished = find_task(task)(request, report)
    if progress == "json":
        print(encode(finished), end="")
    else:
        print(plain_json({**finished.numbers, **finished.outputs}))
    return DONE


def _list_models(options: argparse.Namespace) -> int:
    from model_runner.tasks.models import list_models

    for line in list_models():
        print(line)
    return DONE


def _describe_model(options: argparse.Namespace) -> int:
    from model_runner.tasks.models import describe

    print(describe(options.model))
    return DONE


def _serve(options: argparse.Namespace) -> int:
    from model_runner.server import Server, take_standard_input, take_standard_output

    Server(take_standard_output(), options.idle_seconds).serve(take_standard_input())
    return DONE


def _diagnose(options: argparse.Namespace) -> int:
    from model_runner.doctor import diagnose

    return DONE if diagnose(sys.stdout) else FAILED


def _benchmark(options: argparse.Namespace) -> int:
    from model_runner.benchmark import run_benchmark

    run_benchmark(options.tasks, options.training, options.output)
    return DONE
