# Two commands for a start: `make quickstart` and `make test`. Both set up .venv/ first: tfmeta with
# its dependencies, then Horovod, built against that TensorFlow. Set-up takes minutes once.
#
#   make check       linters, types, and the tests that start no program: between two edits
#   make test        linters, types, and all tests that do not take minutes: before a commit
#   make test-slow   the tests that take minutes

PYTHON ?= python3
HOROVOD_BACKEND ?= gloo

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/tfmeta-installed

# horovodrun loads TensorFlow itself, before any rank can ask it to be quiet.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: quickstart check test test-slow lint types setup clean

quickstart: setup
	$(BIN)/horovodrun -np 2 --start-timeout=300 $(BIN)/python tools/train.py --flagfile=flags/quickstart.flags

# One thread in each of two processes: threads of both on the same cores would slow each other.
check test: export TF_NUM_INTRAOP_THREADS = 1
check test: export TF_NUM_INTEROP_THREADS = 1
check test: export OMP_NUM_THREADS = 1
check test: export OPENBLAS_NUM_THREADS = 1
check: lint types
	$(BIN)/python -m pytest -m 'not slow and not programs' -n 2 --dist worksteal

test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

setup: $(INSTALLED)
	@$(BIN)/python tools/build_horovod.py --backend=$(HOROVOD_BACKEND)

$(INSTALLED): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "PYTHON=$(PYTHON) is not Python 3.11 to 3.13; install one and say, for example, make PYTHON=python3.12" >&2; \
	  exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
