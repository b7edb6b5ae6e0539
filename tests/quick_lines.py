"""Options by which a cell takes a second or two: a student, a teacher like it, none, and the tests' own data sets."""

STUDENT = ("model=lstm_attention", "model.hidden=8", "model.init=random", "trainer.device=cpu", "evaluation=none")
EPOCH = "trainer.max_epochs=1"
TEACHER = (
    *("model@teacher.model=lstm_attention", "teacher.model.hidden=16", "teacher.model.init=random"),
    *("teacher.trainer.max_epochs=1", "teacher.trainer.device=cpu"),
)
ALONE = ("teacher=none", "loss=cross_entropy")
TOY = ("dataset=csv", "dataset.path=toy.csv", "tracking=none")  # beside the process; workers must stand there too
QUICK = (*STUDENT, "trainer.max_epochs=2", *ALONE, "tracking=none")  # of a program, which gives its own texts
COLUMNS = {"text": "says", "label": "kind"}  # of the tests' own data frame
