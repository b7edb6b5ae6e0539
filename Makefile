# make demo   the main job on the embedded default: prints a table, says how to open the UI; installs no more than it needs
# make test   the tests, in two processes, after what they need is added; what needs more than this machine has is left out
# make check  lint and types
# make docs   a site of README, docs/ and experiments/ in site/, with the reference out of docstrings; warnings are errors
# make coverage  that every branch of what keeps a user's files safe is tested
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
# make demo UV=uv installs by uv, in a third of pip's time. It reads UV_INDEX and the like, and no setting of pip's.
UV ?=
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile
INSTALL := $(if $(UV),$(UV) pip install --python $(BIN)/python,$(PIP)) --quiet --constraint $(CONSTRAINTS)
TESTERS ?= 2
# Images of containers often forbid Python to keep its bytecode. Each of the many processes here would then compile 4,500 files
# anew, for nine seconds; kept, pip need not compile the 22,000 that nobody imports.
export PYTHONDONTWRITEBYTECODE :=
comma := ,

SAFE := core/cache* core/drafts core/results training/checkpointing sweeps/completed sweeps/launch \
	pipeline/run_folder pipeline/publish pipeline/written_files
SAFE_TESTS := core/test_cache core/test_cache_gc core/test_drafts core/test_results training/test_checkpointing \
	sweeps/test_completed sweeps/test_launch pipeline/test_run_folder pipeline/test_publish pipeline/test_written_files

.PHONY: demo test check coverage docs format clean

demo: $(VENV)/ready
	$(BIN)/kd-lab experiments=demo

test: $(VENV)/ready_for_tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder --durations 40 --durations-min 2

coverage: $(VENV)/ready_for_tests
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run --branch --include='$(subst $() $(),$(comma),$(SAFE:%=kd_lab/%.py))' -m pytest $(SAFE_TESTS:%=tests/%.py)
	$(BIN)/python -m coverage report --show-missing --fail-under=100

docs: $(VENV)/ready_for_docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

check: $(VENV)/ready_for_tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready_for_tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache

# constraints.txt pins torch to a version whose build runs on the CPU wherever pip finds no other.
$(VENV)/ready: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit("kd_lab needs Python 3.11 or newer, got %d.%d: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV): this takes a few minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/ready_for_tests: $(VENV)/ready
	@echo "adding what the tests need to $(VENV): this takes a few minutes, once"
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/ready_for_docs: $(VENV)/ready
	@echo "adding what the site needs to $(VENV)"
	$(INSTALL) --editable '.[docs]'
	@touch $@
