# make demo   the main job on the embedded default: prints a table, says how to open the UI
# make test   the tests, in two processes; what needs more than this machine has is left out, and said
# make check  lint and types
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTERS ?= 2

.PHONY: demo test check format clean

demo: $(VENV)/ready
	$(BIN)/kd-lab experiments=demo

test: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

# constraints.txt pins torch to a version whose build runs on the CPU wherever pip finds no other.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("kd_lab needs Python 3.11 or newer, got %d.%d: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV): this takes a few minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
