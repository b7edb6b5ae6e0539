"""The class out of scope is answered more often, at no more than the price that was said, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from readable import SPECS, built, logits, some

from kd_lab.compression.out_of_scope import OutOfScope, largest_bias
from kd_lab.compression.prune.heads import PruneHeads
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.quantization_aware import QuantizationAware
from kd_lab.compression.step import check_all, check_classes
from kd_lab.core.errors import UserError
from kd_lab.evaluation.inference import predict
from kd_lab.models.encoder import EncoderClassifier

each_cost = pytest.mark.parametrize("cost", [0, 0.004, 0.01, 0.05, 0.3, 0.9999])


def answers(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 500 rows of 5 classes that are right rather often; class 2 stands for "out of scope"."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (500,), generator=generator)
    said = torch.randn(500, 5, generator=generator)
    said[torch.arange(500), labels] += 2
    said[:, 2] -= 1  # which is answered too seldom
    return said, labels


def right_inside(said: torch.Tensor, labels: torch.Tensor) -> int:
    inside = labels != 2
    return int((said.argmax(1) == labels)[inside].sum())


@each_cost
@pytest.mark.parametrize("seed", [0, 1])
def test_it_costs_as_many_rows_in_scope_as_may_be_lost_and_not_one_more(cost: float, seed: int) -> None:
    said, labels = answers(seed)
    inside = int((labels != 2).sum())
    moved = said.clone()
    moved[:, 2] += largest_bias(said, labels, 2, cost)
    lost = right_inside(said, labels) - right_inside(moved, labels)
    assert lost == min(int(cost * inside), right_inside(said, labels))
    recalled = [int((one.argmax(1) == 2)[labels == 2].sum()) for one in (said, moved)]
    assert recalled[0] < recalled[1] or not int(cost * inside)


def test_rows_of_one_margin_turn_together_or_not_at_all() -> None:
    labels = torch.tensor([1] * 100 + [0] * 10)  # the class comes first: a tie is its own
    said = torch.nn.functional.one_hot(labels, 2).double() * 5
    said[20:100, 1] += torch.arange(1, 81)
    assert largest_bias(said, labels, 0, 0.1) == 0.0
    assert largest_bias(said, labels, 0, 0.2) == pytest.approx(5.5)


def test_where_nothing_in_scope_is_right_nothing_is_moved() -> None:
    said = torch.tensor([[0.0, 0.0, 5.0]] * 3)
    assert largest_bias(said, torch.tensor([0, 1, 0]), 2, 0.5) == 0.0


@pytest.mark.parametrize("name", SPECS)
def test_of_every_model_one_class_is_shifted_and_the_others_stay(name: str, context) -> None:
    model, batch = built(name).eval(), some(context)
    label = context.tokens.classes[1]
    moved = OutOfScope(label, cost=0.5).apply(model, context)
    added = context.notes["out_of_scope"]["bias_added"]
    shift = logits(moved, batch) - logits(model, batch)
    torch.testing.assert_close(shift[:, 1], torch.full_like(shift[:, 1], added), atol=1e-5, rtol=1e-5)
    assert shift[:, [0, 2]].abs().max() < 1e-5
    assert type(moved) is type(model)


def test_its_note_says_what_validation_lost_and_won(context) -> None:
    model = built("lstm").eval()
    validation = context.tokens.split("validation")
    said = predict(model, validation, context.tokens.pad_id, "cpu", "32-true")
    label = int(said.argmax(1).mode().values)  # what it answers most: something in scope is right
    outside = (label + 1) % 3
    OutOfScope(context.tokens.classes[outside], cost=0.2).apply(model, context)
    note = context.notes["out_of_scope"]
    before, after = note["validation"]["accuracy_in_scope"]
    gold = torch.from_numpy(validation.gold())
    inside = gold != outside
    assert before == pytest.approx(float((said.argmax(1) == gold)[inside].double().mean()))
    assert note["bias_added"] > 0
    assert before - 0.2 <= after < before
    low, high = note["validation"]["recall_out_of_scope"]
    assert low <= high


def test_training_behind_it_is_refused() -> None:
    kind = EncoderClassifier
    step, trained, still = OutOfScope("a"), PruneHeads(), PruneHeads(epochs=0)
    aware, int8 = QuantizationAware(epochs=1), OnnxInt8()
    for wrong, cure in (
        ({"out_of_scope": step, "prune_heads": trained}, "[prune_heads,out_of_scope]"),
        ({"out_of_scope": step, "prune_heads": trained, "onnx_int8": int8}, "[prune_heads,out_of_scope,onnx_int8]"),
        ({"out_of_scope": step, "quantization_aware": aware, "onnx_int8": int8}, "[out_of_scope,onnx_int8]"),
    ):
        with pytest.raises(UserError, match="no training behind it") as caught:
            check_all(wrong, kind)
        assert f"compression={cure}" in str(caught.value)
        check_all({name: wrong[name] for name in cure[1:-1].split(",")}, kind)
    for right in ({"prune_heads": trained, "out_of_scope": step}, {"out_of_scope": step, "prune_heads": still}):
        assert check_all(right, kind) is EncoderClassifier


def test_a_class_that_is_not_there_is_refused(context) -> None:
    with pytest.raises(UserError, match=r"compression\.out_of_scope\.label=CLASS"):
        OutOfScope()
    with pytest.raises(UserError, match=r"compression\.out_of_scope\.label: expected one of .* got 'no such class'"):
        OutOfScope("no such class").apply(built("lstm").eval(), context)


def test_a_data_set_without_the_class_is_refused_before_any_fit() -> None:
    steps = {"prune_heads": PruneHeads(), "out_of_scope": OutOfScope("oos")}
    check_classes(steps, ("a", "oos"), False)
    for classes, several in ((("a", "b"), False), (("a", "oos"), True)):
        with pytest.raises(UserError, match=r"compression\.out_of_scope"):
            check_classes(steps, classes, several)
