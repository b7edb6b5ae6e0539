"""What the gate found out about a compressed cell, and the verdict that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kd_lab.evaluation.batch_invariance import NOISE, BatchDependence
from kd_lab.evaluation.paired_tests import Comparison
from kd_lab.report.study import comparisons

SHIP, ALONE, STOP, UNJUDGED = "ship", "ship, one text at a time", "do not ship", "not judged"
ALL, IN_SCOPE, OUT_OF_SCOPE = "all rows", "in scope", "out of scope"
SAME = 1e-3  # by which logits of the same float32 weights may differ between run-times
_ALIKE = 0.05  # sizes and times closer than this share are called the same


@dataclass(frozen=True)
class Export:
    """A classifier beside the torch model that it was made from.

    Args:
        steps: of compression that made it.
        exact: whether they claim to compute the same in float32.
        rows: of test, compared.
        agreement: share of them with the same label.
        largest: the largest difference of a logit.
        missing: why nothing was compared; then the numbers say nothing.
    """

    steps: tuple[str, ...]
    exact: bool
    rows: int = 0
    agreement: float = 1.0
    largest: float = 0.0
    missing: str = ""


@dataclass(frozen=True)
class Evidence:
    """What was measured of a compressed cell.

    Args:
        cell: its folder's name.
        label: what a person calls it.
        against: the uncompressed cell of the same fit; None where the study has none.
        accuracy: rows ("all rows", "in scope", "out of scope") -> change against that cell, on the same rows.
        asked_alone: the same change on the rows of `dependence`, when each is asked alone.
        dependence: way of feeding -> what it changes.
        recorded: of the rows asked alone, those whose label is another than the one in the cell's predictions.
        export: None where no step changes a model's form alone.
        size_ratio, latency_ratio: to the uncompressed cell.
        contended: whether one of the two was timed while other processes were busy.
        precision: step -> what its notes say it computes in.
        broken: why the model could not be asked at all; then most of the rest is empty.
        elsewhere: whether its accuracy was measured on another processor than the rest.
    """

    cell: str
    label: str
    against: str | None
    accuracy: Mapping[str, Comparison] = field(default_factory=dict)
    asked_alone: Comparison | None = None
    dependence: Mapping[str, BatchDependence] = field(default_factory=dict)
    recorded: int | None = None
    export: Export | None = None
    size_ratio: float | None = None
    latency_ratio: float | None = None
    contended: bool = False
    precision: Mapping[str, object] = field(default_factory=dict)
    broken: str = ""
    elsewhere: bool = False


@dataclass(frozen=True)
class GateVerdict:
    """The verdict on a cell: one of `SHIP`, `ALONE`, `STOP`, `UNJUDGED`; why; and what else is to be known."""

    verdict: str
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]


def decide(found: Evidence, margin: float) -> GateVerdict:
    """The verdict.

    A cell may ship when it is not inferior to the uncompressed model: the lower end of the paired 95 % interval of
    its change in accuracy lies above `-margin`, over all rows and over those in scope, and where batches change
    labels over those that were asked one at a time. Rows out of scope are too few to prove that of: there a proven
    loss beyond the margin stops it, and what is not proven is said. What claims to compute the same as the torch
    model it was made from must do so to `SAME`.

    Args:
        margin: the loss that may be borne, as a fraction.
    """
    stops, remarks = [], []
    if found.broken:
        return GateVerdict(STOP, (found.broken,), ())
    for rows, change in found.accuracy.items():
        text = f"{rows}: {_words(change)}"
        if rows == OUT_OF_SCOPE and change.high >= -margin:
            if change.low <= -margin:
                remarks.append(f"{text}; {100 * margin:g} points or less is not proven there")
        elif change.low <= -margin:
            stops.append(
                f"{text}, more than {100 * margin:g} points" + ("" if change.high < 0 else " is not ruled out")
            )
    if found.export is not None:
        bad, text = _of_export(found.export)
        (stops if bad else remarks).append(text)
    fed = {way: one for way, one in found.dependence.items() if one.matters}
    told = [f"{way} changes {one.changed} of {one.rows:,} labels" for way, one in fed.items()]
    if not fed and (largest := max((one.largest for one in found.dependence.values()), default=0)) > NOISE:
        remarks.append(f"logits move by up to {largest:.2g} with batch and padding, no label does")
    if found.recorded:
        remarks.append(f"asked alone, {found.recorded} rows get another label than in the cell's predictions")
    if fed and found.asked_alone is not None:
        bad, text = _of_asked_alone(found.asked_alone, margin)
        (stops if bad else remarks).append(text)
    remarks += [*_gains(found), *(["accuracy was measured on another processor"] if found.elsewhere else [])]
    if stops:
        return GateVerdict(STOP, (*stops, *told), tuple(remarks))
    if found.against is None or not found.accuracy:
        lacking = "no uncompressed cell of the same fit in this study" if found.against is None else "no predictions"
        cure = "; run it too, with compression=[]" if found.against is None else " kept with both cells"
        return GateVerdict(UNJUDGED, (lacking + cure, *told), tuple(remarks))
    borne = f"all rows: {_words(found.accuracy[ALL])}, a loss of {points(margin)} is ruled out"
    return GateVerdict(ALONE if fed else SHIP, (*told, borne), tuple(remarks))


def points(margin: float) -> str:
    """A fraction as points of accuracy, such as "1 point"."""
    return f"{100 * margin:g} point" + "s" * (margin != 0.01)


def _words(change: Comparison) -> str:
    """A change of accuracy in points, as a loss or a gain where it is proven, with its interval."""
    low, high = 100 * change.low, 100 * change.high
    if change.high < 0:
        return f"loses {-100 * change.difference:.1f} points [{-high:.1f}, {-low:.1f}]"
    if change.low > 0:
        return f"gains {100 * change.difference:.1f} points [{low:.1f}, {high:.1f}]"
    return f"changes by {comparisons.points(change, ' points')}"


def _of_asked_alone(change: Comparison, margin: float) -> tuple[bool, str]:
    """(whether it stops a cell that must be asked one text at a time, the sentence)."""
    text = f"asked alone: {_words(change)}"
    if change.low > -margin:
        return False, text
    ruled_out = "" if change.high < 0 else " is not ruled out; more --rows may tell"
    return True, f"{text}, more than {100 * margin:g} points{ruled_out}"


def _of_export(export: Export) -> tuple[bool, str]:
    """(whether it stops the cell, the sentence)."""
    steps = ", ".join(export.steps)
    if export.missing:
        return False, f"{steps}: not compared with the torch model: {export.missing}"
    far = export.largest
    if export.exact:
        return far >= SAME, f"{steps}: logits differ from the torch model's by up to {far:.1g}"
    share = f"{100 * export.agreement:.2f} % of {export.rows:,} labels"
    return False, f"{steps}: {share} as the torch model's, logits by up to {far:.2g} apart"


def _gains(found: Evidence) -> list[str]:
    """What compression did not bring."""
    measured = [(found.size_ratio, "smaller", "larger")]
    measured += [] if found.contended else [(found.latency_ratio, "faster", "slower")]
    said = ["others were busy while it was timed: whether it is faster is open"] if found.contended else []
    if not found.contended and found.size_ratio is not None and found.latency_ratio is None:
        said.append("it was not timed: whether it is faster is open")
    for ratio, better, worse in measured:
        if ratio is not None and ratio >= 1 - _ALIKE:
            alike = ratio <= 1 + _ALIKE
            said.append(f"no {better}" if alike else f"{worse}: {ratio:.2f} times the uncompressed model's")
    return said
