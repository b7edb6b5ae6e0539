"""What a loss cannot compare is one line before any work, with a cure that works as typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_checkpoints as tiny

from kd_lab.cli.compose import compose
from kd_lab.core.errors import UserError
from kd_lab.losses.loss import Loss
from kd_lab.pipeline.plan import Plan, resolved_config
from kd_lab.pipeline.summary_table import method

RANDOM = ("model.init=random", "model.keep_layers=null")
SHALLOW = ("teacher.model.layers=2", "teacher.model.keep_layers=[0,1]")


@pytest.fixture(autouse=True)
def here(toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_csv.parent)


def plan(*given: str) -> Plan:
    made = Plan(compose(["dataset=csv", "dataset.path=toy.csv", *given]))
    assert isinstance(made.student.loss, Loss)
    made.student.loss.check(3, made.teacher is not None)
    return made


def cured(given: Sequence[str], error: UserError) -> None:
    """Takes the first option of the cure, and `loss=hybrid` where it is named, as one would type them."""
    options = [option.rstrip(".,") for option in re.findall(r"[+\w./@]+=[\w.]+", error.cure)]
    assert options, error.cure
    single = [[option] for option in options if not option.startswith("+")]
    together = [option for option in options if option.startswith("+")]
    for choice in [*single, *([together] if together else [])]:
        rest = list(given)
        if choice[0].startswith("loss="):
            rest = [one for one in given if not re.match(r"\+?loss[.=/]", one)]
        plan(*rest, *choice)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("model=lstm_attention", "loss=minilm"), "'minilm': expected a student that gives attention and values"),
        (("model=lstm_attention", "loss=pkd"), "'pkd': expected a student that gives all_hidden"),
        (
            ("model=lstm_attention", "loss=hidden_cosine"),
            "'hidden_cosine': expected a student of the teacher's width 384",
        ),
        (("model.width=312", *RANDOM, "loss=pkd"), "'pkd': expected a student of the teacher's width 384, got 312"),
        (("model.heads=6", *RANDOM, "loss=minilm"), "'minilm': expected a student with the teacher's 12 heads, got 6"),
        (("model.heads=6", *RANDOM, "loss=tinybert"), "'tinybert_attention': expected a student with the teacher's 12"),
        ((*SHALLOW, "loss=tinybert"), "expected a student of 1 to 2 layers, as its teacher has, got 3"),
        ((*SHALLOW, "loss=pkd"), "'pkd': expected a student of 2 to 2 layers, as its teacher has, got 3"),
        (("model.width=312", *RANDOM, "loss=minilm_v2"), "expected relation_heads that divide the student's width 312"),
        (
            ("loss=entropy", "loss.weights.cross_entropy=0"),
            "loss of entropy: expected a term beside it that says which",
        ),
    ],
)
def test_it_is_refused_and_its_cure_works(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(*given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    cured(given, caught.value)


def test_a_ready_teacher_is_held_against_the_student_too() -> None:
    tiny.write(Path("ready"), "mpnet", ("weather", "animals", "food"))
    line = ("teacher=ready", "teacher.path=ready", "model=checkpoint", "model.path=ready", "tokenizer.max_tokens=32")
    with pytest.raises(UserError, match="'minilm': expected a student that gives attention, got one that gives"):
        plan(*line, "teacher.max_tokens=32", "loss=minilm")
    plan(*line, "teacher.max_tokens=32", "loss=minilm_v2", "loss.terms.minilm_v2.relation_heads=4")


@pytest.mark.parametrize(("loss", "refused"), [("minilm", True), ("pkd", False)])
def test_heads_that_are_pruned_are_no_longer_the_teachers(loss: str, refused: bool) -> None:
    given = (f"loss={loss}", "compression=[prune_heads]", "recovery=teacher")
    if refused:
        with pytest.raises(UserError, match=r"compression\.prune_heads: expected a loss of logits alone"):
            plan(*given)
    else:
        plan(*given)
    plan(f"loss={loss}", "compression=[prune_heads]")


@pytest.mark.parametrize("loss", ["pkd", "tinybert", "minilm", "minilm_v2", "rkd", "dkd", "dist", "standardised_kl"])
def test_the_default_student_and_teacher_take_every_loss(loss: str) -> None:
    assert plan(f"loss={loss}").student.loss.needs


def test_text_without_labels_is_learned_from_by_entropy_with_no_teacher() -> None:
    Path("more.txt").write_text("some text\n", encoding="utf-8")
    line = ("teacher=none", "dataset.transfer_path=more.txt")
    assert plan(*line, "loss=entropy").taught_on is not plan(*line, "loss=entropy").dataset
    alone = plan(*line, "loss=cross_entropy")
    assert alone.taught_on is alone.dataset


def test_a_plan_of_a_cell_whose_checkpoint_is_not_here_can_be_opened() -> None:
    """A report opens plans of cells that ran on other machines."""
    given = ("teacher=checkpoint", "model=checkpoint", "tokenizer.max_tokens=32", "loss=minilm")
    tiny.write(Path("there"), "bert")
    plan(*given, "model.path=there", "teacher.path=there")
    plan(*given, "model.path=gone", "teacher.path=gone")


@pytest.mark.parametrize(
    ("given", "done"),
    [
        (("loss.alpha_end=0.1", "loss.temperature_end=1", "loss.schedule=cosine"), "distilled"),
        (("loss.alpha=1", "loss.alpha_end=0.5"), "distilled"),
        (("loss.alpha=1",), "baseline"),
        (("loss=kl", "loss.terms.kl.confidence_weighting=true"), "distilled"),
        (("loss=entropy",), "baseline"),
        (("loss=minilm",), "distilled"),
    ],
)
def test_what_teaches_is_read_off_the_config(given: tuple[str, ...], done: str) -> None:
    made = plan(*given)
    assert method(resolved_config(made.config)) == done
    assert bool(made.student.loss.needs) == (done == "distilled")
