"""Options by which a cell takes two seconds, and the names of columns in the tests' own texts."""

QUICK = (
    *("model=lstm_attention", "model.init=random", "model.hidden=8", "trainer.max_epochs=2", "trainer.device=cpu"),
    *("teacher=none", "loss=cross_entropy", "evaluation=none", "tracking=none"),
)
COLUMNS = {"text": "says", "label": "kind"}
