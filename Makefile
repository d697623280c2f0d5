# Needs python3 (3.11 or newer) and make; everything else goes into .venv, from requirements.lock.
# TORCH=keep leaves a torch and torchvision that python3 has already (a CPU build, a cluster's own,
# conda's pytorch-cpu) where they are, and installs the rest beside them.
.DEFAULT_GOAL := help
.PHONY: help install experiment test lowest lab bench gallery docs wheel clean lock

BIN := .venv/bin
# What was kept once is kept.
TORCH ?= $(shell grep -qs '^include-system-site-packages = true' .venv/pyvenv.cfg && echo keep)
READY := .venv/.ready

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The stamp holds the lock's and the project file's digests: a fresh clone or a git checkout changes
# times but not contents, and only contents install anything.
$(READY): requirements.lock pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "facelab needs python3 >= 3.11; this is $$(python3 --version)"; exit 1; }
	@test -x $(BIN)/python || python3 -m venv $(if $(filter keep,$(TORCH)),--system-site-packages) .venv
	@stamp="$$( (cat $^; echo $(TORCH)) | python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')"; \
	if [ "$$stamp" != "$$(cat $@ 2>/dev/null)" ]; then \
	  set -e; \
	  test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv; \
	  if [ "$(TORCH)" = keep ]; then \
	    $(BIN)/python .ci/without-torch > .venv/without-torch.txt; \
	    $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --python $(BIN)/python \
	      --requirements .venv/without-torch.txt; \
	  else \
	    $(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock; \
	  fi; \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .; \
	  $(BIN)/python -c 'from facelab.synthetic.produce import warm_up; warm_up()'; \
	  echo "$$stamp" > $@; \
	fi
	@touch $@

install: $(READY)  ## everything into .venv, which the commands below do too; TORCH=keep: but torch

experiment: $(READY)  ## the main job: skewed against balanced training, into experiments/runs/
	$(BIN)/facelab run experiments/balanced-retraining.yaml

test: $(READY)  ## the tests, with those on real faces where FACELAB_REAL is set
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist worksteal

lowest: $(READY)  ## the tests on the lowest versions that pyproject.toml allows, but for browser and notebooks
	.ci/lowest $(BIN)/python

lab: $(READY)  ## JupyterLab on the notebooks; LAB="--no-browser" and the like are passed on
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks $(LAB)

bench: $(READY)  ## speed, side by side with the peers
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m facelab.bench

gallery: $(READY)  ## experiments/gallery's pages, from what its runs kept
	$(BIN)/python -m facelab.pages.examples

docs: $(READY)  ## the documentation into site/; FACELAB_DOCS_RUN=0 runs no notebooks for it
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html; with search: $(BIN)/python -m http.server --directory site"

wheel: $(READY)  ## sdist and wheel, built and tried in a fresh environment
	.ci/wheel $(BIN)/python

lock:  ## renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --all-extras --group reference \
	  --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 \
	  pyproject.toml --output-file requirements.lock

clean:  ## remove what was made here, but for data/ and experiments/runs/
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis site dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
