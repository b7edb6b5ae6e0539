"""What came of a run and of a sweep: figures, models, and a table that shows itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_lab.api.shown import to_html
from kd_lab.core import results
from kd_lab.core.errors import FitError
from kd_lab.core.results import RunResult

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from rich.console import Console

    from kd_lab.report.study.study_report import StudyReport
    from kd_lab.serving.text_classifier import TextClassifier

_WIDTH = 160  # letters of a line of text


@dataclass(frozen=True, repr=False)
class Run:
    """A cell that has run; in a notebook it shows itself as a table.

    Args:
        folder: the cell's own, with `result.json`, the model, predictions and pictures.
        result: all that is known of it.
    """

    folder: Path
    result: RunResult

    @classmethod
    def read(cls, folder: Path) -> Run:
        """What the cell's last run came to.

        Raises:
            UserError: there is no result, or it is damaged.
        """
        return cls(folder, results.attempt(folder))

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Of validation and of test: accuracy, accuracy_interval, f1_macro, ece and others, rates as fractions."""
        return self.result.metrics

    @property
    def error(self) -> str | None:
        """Why it failed, or was given up by a search; None where it finished."""
        return self.result.error

    @cached_property
    def model(self) -> TextClassifier:
        """What answers texts: `.predict(texts)` gives labels and probabilities, `.labels` their names.

        Raises:
            FitError: the cell did not finish.
        """
        from kd_lab.api.load import load

        if self.result.status != "finished":
            raise FitError(f"{self.result.name}/{self.result.cell} has no model: it {self.result.status}: {self.error}")
        return load(self.folder)

    def predict(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, abstain: float | None = None
    ) -> tuple[list[str], NDArray[Any]] | tuple[list[str | None], NDArray[Any]]:
        """The most probable label of each text, and the probabilities of all; see `TextClassifier.predict`."""
        return self.model.predict(texts, seconds, abstain=abstain)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Copies the model out, complete, with a card; the copy is tried. `kd_lab.load(folder)` reads it.

        Args:
            folder: empty, not there yet, or an earlier export, which is replaced.

        Raises:
            UserError: the cell did not finish, or the folder holds anything else.
        """
        from kd_lab.serving.export import export

        export(self.folder, Path(folder))
        return Path(folder)

    @property
    def table(self) -> pd.DataFrame:
        """The rows that are shown: the teacher where there is one, and the model."""
        from kd_lab.pipeline import summary_table

        return _frame(summary_table.rows([self.result]))

    def _repr_html_(self) -> str:
        from kd_lab.pipeline.summary_table import to_markdown

        return to_html(f"{to_markdown([self.result])}\n{_place(self.folder)}")

    def __repr__(self) -> str:
        from kd_lab.pipeline.summary_table import to_rich

        out = _page()
        out.print(to_rich([self.result], self.result.name))
        return f"{_text(out)}{_place(self.folder)}"


@dataclass(frozen=True, repr=False)
class Sweep:
    """The cells of a sweep; in a notebook it shows itself as a table with the verdict.

    Args:
        folder: the study's, with a folder for each cell, and `report` with tables and figures.
        name: of the study.
        cells: in the order of the axes, those that failed among them: they have an `error`.
        report: on all cells of the study, those of earlier sweeps of its name too.
    """

    folder: Path
    name: str
    cells: list[Run]
    report: StudyReport

    @property
    def verdict(self) -> str:
        """Which setting is best, and than which others: a line for each data set."""
        return self.report.verdict

    @property
    def best(self) -> Run | None:
        """The first run of the setting that was chosen on validation; None where the verdict names none, or several."""
        verdicts = self.report.verdicts
        if len(verdicts) != 1 or verdicts[0].best is None:
            return None
        return Run.read(self.folder / verdicts[0].best.cells[0].cell)

    @property
    def table(self) -> pd.DataFrame:
        """The rows that are shown, one a setting, seeds taken together; `numbers` has what one computes with."""
        from kd_lab.report.study import settings_table

        return _frame(settings_table.rows(self.report.settings, self.report.verdicts))

    @property
    def numbers(self) -> pd.DataFrame:
        """A row for each cell: its settings, and every number of its result, unrounded."""
        import pandas as pd

        return pd.read_csv(self.report.files["cells.csv"])

    def _repr_html_(self) -> str:
        from kd_lab.report.study.shown import markdown

        told = markdown(self.report)
        verdict = "".join(f"\n{line}\n" for line in self.verdict.splitlines() if line not in told)
        return to_html(f"{told}{verdict}\n{_place(self.folder)}")

    def __repr__(self) -> str:
        from kd_lab.report.study.shown import show
        from kd_lab.report.study.study_report import FOLDER

        out = _page()
        show(self.report, self.name, _place(self.folder / FOLDER), out)
        return _text(out)


def _place(folder: Path) -> Path:
    """As one types it here: within the working folder, or in full."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _frame(rows: Sequence[dict[str, str]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)


def _page() -> Console:
    """Where rich prints text, wherever it is used."""
    from rich.console import Console

    return Console(file=StringIO(), width=_WIDTH, force_terminal=False, force_jupyter=False, color_system=None)


def _text(out: Console) -> str:
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()
