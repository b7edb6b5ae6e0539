"""Every YAML under conf/loss builds the loss that it is named for, alone and as a teacher's."""

from __future__ import annotations

import pytest
import torch
from every_field import said
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from kd_lab.core.cache import describe
from kd_lab.core.paths import root
from kd_lab.core.types import Batch
from kd_lab.losses.base import Term
from kd_lab.losses.loss import Loss

CONF = root() / "conf"
LOSSES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml"))
TERMS = sorted(path.stem for path in (CONF / "loss/term").glob("*.yaml"))


def composed(config: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(config, overrides=list(overrides))


@pytest.mark.parametrize("name", LOSSES)
def test_loss_computes_a_finite_number(name: str) -> None:
    loss = instantiate(composed(f"loss/{name}").loss)
    assert isinstance(loss, Loss)
    loss.check(classes=3, teacher=True)
    mask = torch.ones(3, 4, dtype=torch.int64)
    ours, theirs = (said(seed, torch.float32, rows=3, tokens=4, classes=3, width=96, heads=4) for seed in range(2))
    batch = Batch(torch.arange(3), mask, mask, torch.tensor([0, 1, -1]), teacher=theirs)
    loss.build(ours, batch)
    total, sizes = loss(ours, batch)
    assert total.isfinite()
    assert set(sizes) == set(loss.terms) - {name for name, weight in loss.weights.items() if weight == 0}
    describe(loss)


@pytest.mark.parametrize("name", TERMS)
def test_term_is_of_the_file_that_bears_its_name(name: str) -> None:
    term = instantiate(composed(f"loss/term/{name}").loss.term)
    assert isinstance(term, Term)
    assert type(term).__module__ == f"kd_lab.losses.term.{name}"


def test_a_loss_for_the_teacher_lies_under_teacher() -> None:
    for name in LOSSES:
        alone = composed(f"loss/{name}").loss
        with initialize_config_dir(str(CONF), version_base="1.3"):
            nested = compose(overrides=[f"+loss@teacher.loss={name}"]).teacher.loss
        assert OmegaConf.to_container(nested) == OmegaConf.to_container(alone)


def test_the_hybrids_numbers_are_at_its_top_for_sweeps() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=["+loss=hybrid", "loss.alpha=0.1", "loss.temperature=8", "loss.sequence_weight=1"])
    loss = instantiate(config.loss)
    assert (loss.alpha, loss.temperature, loss.sequence_weight) == (0.1, 8.0, 1.0)


def test_distilberts_proportions_are_kept() -> None:
    weights = composed("loss/hidden_cosine").loss.weights
    assert weights.kl / weights.hidden_cosine == 5
    assert weights.cross_entropy / weights.hidden_cosine == 2
    assert sum(weights.values()) == 1
