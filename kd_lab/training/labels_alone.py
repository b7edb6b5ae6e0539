"""A file of answers that names labels and says nothing of the other classes: by which loss it is learned from."""

from __future__ import annotations

from kd_lab.losses.loss import Loss
from kd_lab.losses.term.logit_mse import LogitMse

MANY = 20  # classes, from which on a loss of all logits alike hardly sees the label; tried with 151


def labels_alone_hint(loss: object, classes: int) -> str | None:
    """What to say where a student would learn from labels alone by their logits: see `experiments/any_teacher`.

    Args:
        loss: of the student; a user's own may be no `Loss`.
        classes: C, of which a row bears one.
    """
    if classes <= MANY or not isinstance(loss, Loss):
        return None
    if not any(isinstance(loss.terms[name], LogitMse) for name in loss.used):
        return None
    alike = f"labels alone give the logits of {classes - 1} classes of {classes} one value"
    return f"{alike}, which logit_mse mostly learns; loss=kl learns the label"
