# make demo   own virtual environment, then a synthetic trial through every stage
# make test   the same set-up, then the whole test suite (no root; checks whose tool is absent are counted skips)
# make check  linters, types, import layers
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
DEMO_OUT ?= demo-out
STAMP := $(VENV)/.installed

export NO_ET := 1
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS := 1

.PHONY: help demo test test-all check system-deps constraints docs clean

help:
	@sed -n 's/^# //p' Makefile

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/mrs-pipeline demo $(DEMO_OUT) --participants 24 --seed 1

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadscope -q

# everything, with skips counted as failures; needs what system-deps installs
test-all: $(STAMP) check
	MRS_PIPELINE_NO_SKIP=1 $(BIN)/python -m pytest -n 2 --dist loadscope -q

# import-linter and mypy read the package as it is installed: workflows/ below mrs_pipeline/
LINTED := build/linted
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(LINTED) && mkdir -p $(LINTED)
	cp -r mrs_pipeline $(LINTED)/ && cp -r workflows $(LINTED)/mrs_pipeline/
	cd $(LINTED) && $(abspath $(BIN))/lint-imports --config $(CURDIR)/pyproject.toml
	cd $(LINTED) && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml -p mrs_pipeline
	$(BIN)/hadolint containers/Dockerfile

# tools for the browser and cluster tests (Debian; needs root)
system-deps:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium slurm-wlm munge >/dev/null

constraints: $(STAMP)
	@echo '# every version pinned: used by make, CI and the container. Regenerate with `make constraints`.' > constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable >> constraints.txt

docs: $(STAMP)
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf $(VENV) $(DEMO_OUT) build dist *.egg-info
