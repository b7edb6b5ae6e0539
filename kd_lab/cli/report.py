"""`kd-lab report NAME`: a study's table, verdict, documents and figures, made from its cells; brings MLflow level.

`--gate` asks whether its compressed models may ship, `--frontier` measures all of its models anew in one run.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kd_lab.cli.report_options import cures_as_typed, read
from kd_lab.core import cores, redact, trust
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.paths import root
from kd_lab.core.progress import say
from kd_lab.core.results import RunResult
from kd_lab.report.published import check_all, check_table, index, kept, overview
from kd_lab.report.published.check import Check, check
from kd_lab.report.study import against, class_report
from kd_lab.report.study.collect import studies
from kd_lab.report.study.collect import study as study_cells
from kd_lab.report.study.mirrored import sync_with_mlflow
from kd_lab.report.study.shown import markdown, show
from kd_lab.report.study.study_report import FOLDER, StudyReport, write
from kd_lab.tracking.mlflow_address import file_uri


def report(arguments: Sequence[str]) -> int:
    """Writes the report, prints its table and says where the rest lies.

    Returns:
        exit code: 0, or 1 where a cell of the study failed, MLflow did not take one, ours is worse than published or a
        model may not ship.

    Raises:
        UserError: no name, no such study, nothing published to check it against, or a stray option.
    """
    options = read(arguments)
    with cures_as_typed(options):
        return _report(options)


def _report(options: argparse.Namespace) -> int:
    trust.trust_packages(options.trust, "--trust")  # what the results themselves say of trust counts for nothing
    if options.list:
        print("\n".join(studies(options.multirun)))
        return 0
    experiments = options.experiments or root() / "experiments"
    if options.index:
        print(_written([index.update(experiments), *overview.draw(experiments)]))
        return 0
    if options.check_all:
        return _check_all(experiments)
    if options.name is None:
        raise UserError("report", expected="the name of a study", got="none", cure="kd-lab report --list shows them.")
    if options.frontier or options.gate:
        _refuse(options)
        code = _frontier(options) if options.frontier else 0
        return max(code, _gate(options)) if options.gate else code
    folder = options.multirun / options.name
    if options.restore:
        kept.restore(experiments / options.name / kept.FILE, options.multirun)
    checked = check(options.multirun, options.name, experiments) if options.check else None
    study = write(options.multirun, options.name, classes=options.classes or None)
    found = None if options.against is None else against.against(folder, study.settings, options.against)
    synced = not options.sync or _sync(options.multirun, study)
    if options.markdown:
        print(markdown(study))
    else:
        show(study, options.name, folder / FOLDER)
    if options.classes is not None:
        _show_classes(study, options.markdown)
    held = [] if found is None else _show_against(found, folder, options)
    if checked:
        _show_check(checked, options.multirun, experiments)
    if options.keep:
        files = check_all.keep(options.multirun, options.name, experiments)
        print(_written([*files, *_copied(held, experiments / options.name)]))
    failed = any(cell.status == "failed" for cell in study.cells)
    return 1 if failed or not synced or (checked and checked.missed) else 0


def _refuse(options: argparse.Namespace) -> None:
    """Refuses numbers that mean nothing."""
    for name in ("rows", "rounds", "threads"):
        given = getattr(options, name)
        if given is not None and given < 1:
            raise UserError(f"--{name}", expected="a whole number from 1", got=str(given), cure="Give another.")
    if not 0 < options.margin < 1:
        cure = "Give a fraction: 0.01 is one point."
        raise UserError("--margin", expected="above 0 and below 1", got=str(options.margin), cure=cure)


def _gate(options: argparse.Namespace) -> int:
    """Prints and writes what the gate says."""
    from kd_lab.report.release import gate, gate_table

    study = options.multirun / options.name
    found = gate.evaluate_gate(
        study, study_cells(options.multirun, options.name), margin=options.margin, rows=options.rows
    )
    page = gate_table.to_markdown(found, f"kd-lab report {options.name} --gate")
    _say(gate_table.to_rich(found), [*gate_table.lines(found), _written(gate.write(found, page, study / FOLDER))])
    return 1 if found.stopped else 0


def _frontier(options: argparse.Namespace) -> int:
    """Measures, prints and writes the frontier."""
    from kd_lab.report.release import frontier, frontier_table

    study = options.multirun / options.name
    threads = options.threads or cores.usable()
    found = frontier.measure(study, study_cells(options.multirun, options.name), threads=threads, rounds=options.rounds)
    page = frontier_table.to_markdown(found, f"kd-lab report {options.name} --frontier")
    files = frontier_table.write(found, page, study / FOLDER)
    _say(frontier_table.to_rich(found), [*frontier_table.lines(found), _written(files)])
    return 0


def _say(table: Table, lines: Sequence[str]) -> None:
    out = Console() if sys.stdout.isatty() else Console(width=180)
    out.print(table)
    for line in lines:
        out.print(line, soft_wrap=True, highlight=False, markup=False)


def _show_classes(study: StudyReport, as_markdown: bool) -> None:
    """Prints the worst classes, or says that no cell has kept what it answered."""
    if not study.classes:
        say("no cell of the study has kept its answers: there is nothing to report of classes")
    elif as_markdown:
        print(class_report.to_markdown(study.classes, class_report.SHOWN))
    else:
        for one in study.classes:
            _say(class_report.to_rich(one), [])


def _show_against(found: against.Against, folder: Path, options: argparse.Namespace) -> list[Path]:
    """Prints what the other settings are worth beside one; the page and the picture."""
    from kd_lab.report.figures import against as figure

    page = against.to_markdown(found, f"kd-lab report {options.name} --against {shlex.quote(options.against)}")
    path = folder / FOLDER / "against.md"
    with disk_errors(path):
        path.write_text(page, encoding="utf-8")
        files = [path, *figure.draw(found, path.with_suffix(""))]
    if options.markdown:
        print(page)
    else:
        _say(against.to_rich(found), [])
    print(_written(files))
    return [file for file in files if file.suffix != ".svg"]


def _copied(files: Sequence[Path], folder: Path) -> list[Path]:
    with disk_errors(folder):
        return [Path(shutil.copy(file, folder / file.name)) for file in files]


def _written(files: Sequence[Path]) -> str:
    return f"Written: {', '.join(map(str, files))}"


def _show_check(checked: Check, multirun: Path, experiments: Path) -> None:
    """Prints a check and writes it: beside the report, and, of the checkout's own results, where it is committed."""
    _say(check_table.to_rich(checked), [])
    path = multirun / checked.name / FOLDER / "check.md"
    with disk_errors(path):
        path.write_text(check_table.to_text(checked, f"kd-lab report {checked.name} --check"), encoding="utf-8")
    written = [path]
    if (multirun.resolve(), experiments.resolve()) == (root() / "multirun", root() / "experiments"):
        try:
            written += check_all.keep(multirun, checked.name, experiments)
            written.append(index.update(experiments))
        except UserError as error:  # the check is printed and written all the same
            say(f"what is committed stays: {error}")
    print(_written(written))


def _check_all(experiments: Path) -> int:
    """Says of every committed table whether it is what its rows say."""
    found = check_all.check_all(experiments)
    for one in found:
        print(f"{one.name}: {one.said}")
    return 1 if any(one.changed for one in found) else 0


def _sync(multirun: Path, study: StudyReport) -> bool:
    """Mirrors what is missing into the store each cell's config names, and says so; False where one did not take it.

    A cell run with tracking=none, or with the file that lay beside its results, goes into the default of now.
    """
    from kd_lab.cli.compose import compose
    from kd_lab.pipeline.plan import resolved_config

    config = compose(["tracking=mlflow"])
    config.paths.multirun = str(multirun.resolve())  # a store is kept by its address: a relative one could be another
    default = resolved_config(config.tracking)

    def settings(cell: RunResult) -> Mapping[str, Any]:
        chosen: Mapping[str, Any] = cell.config.get("tracking") or {}
        given = chosen.get("uri") not in (None, file_uri(str((cell.config.get("paths") or {}).get("multirun"))))
        if given:
            return chosen
        kept = {name: chosen[name] for name in ("experiment", "log_model") if chosen.get(name) is not None}
        return {**default, **kept}

    added = sync_with_mlflow(study, multirun / study.cells[0].name, settings, thorough=True)
    if added is None:
        say(f"MLflow is not level with {study.cells[0].name}: the warning above says why")
        return False
    where = ", ".join(sorted({redact.text(settings(cell)["uri"]) for cell in study.cells}))
    say(f"MLflow is level with {study.cells[0].name}: {added} of {len(study.cells)} cells were missing at {where}")
    return True
