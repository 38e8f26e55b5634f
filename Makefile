# All targets that run something set up what they need first: .venv with the locked packages, Java 17, Spark's jars.
# A step says one line; its details go to var/setup.log and are shown when it fails. Only Python 3.11 must be there.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup torch run round monitor round-demo replay notebook test test-full test-soak test-oldest lint bench docs \
	dist doctor clean distclean

VENV := $(CURDIR)/.venv
PYTHON := $(VENV)/bin/python
LOG := var/setup.log
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input install --no-build-isolation

# What was set up is known by content, not by date: another lock or another place makes another stamp, and a set-up that
# was cut short leaves none. New packages come into an empty environment, so nothing of older ones stays behind.
sum_of = $(shell { echo '$(CURDIR)'; cat $(1); } 2>&1 | cksum | cut -d' ' -f1)
LOCKS := requirements-build.txt requirements.txt
PACKAGES := $(VENV)/packages-$(call sum_of,$(LOCKS) lib/eraflow/jars.sha256)
PROJECT := $(VENV)/project-$(call sum_of,pyproject.toml)
OLDEST_VENV := $(CURDIR)/var/oldest/venv
OLDEST := $(OLDEST_VENV)/packages-$(call sum_of,requirements-build.txt requirements-oldest.txt lib/eraflow/jars.sha256)
TORCH := $(VENV)/torch-$(call sum_of,requirements-torch.txt)

# The environment's commands come first, and no other Spark or worker Python of the user's gets in their way.
IN_VENV := env -u SPARK_HOME -u SPARK_CONF_DIR -u PYSPARK_PYTHON -u PYSPARK_DRIVER_PYTHON PATH="$(VENV)/bin:$$PATH"

IN_OLDEST := env -u SPARK_HOME -u SPARK_CONF_DIR -u PYSPARK_PYTHON -u PYSPARK_DRIVER_PYTHON PATH="$(OLDEST_VENV)/bin:$$PATH"
PIP_OLDEST := $(subst $(VENV),$(OLDEST_VENV),$(PIP))

# $(call step,what is done,command without commas)
step = echo '$(1)'; $(2) >>$(LOG) 2>&1 || { tail -n 40 $(LOG); echo 'Failed: $(1). All of it is in $(LOG).'; exit 1; }

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo '  make bench-NAME   run benchmarks/NAME.py (a dash in NAME stands for an underscore)'

setup: $(PACKAGES) $(PROJECT) ## set up all that is needed; again when something has changed or is gone
	@$(PYTHON) -m eraflow.environment java >/dev/null || { mkdir -p var; \
		$(call step,Java 17 from its lock,$(PIP) --require-hashes -r requirements-java.txt); }
	@$(IN_VENV) $(PYTHON) -m eraflow.environment install

$(PACKAGES): | var
	@python=$$(for name in python3.11 python3 python; do \
		$$name -c 'import sys; print(sys._base_executable); sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
		&& break; done | tail -n 1); \
	$${python:-false} -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo 'Python 3.11 was not found: install it so that python3.11 is on PATH, then say make again.'; exit 1; }; \
	: >$(LOG); \
	$(call step,Environment in .venv,$$python -m venv --clear $(VENV))
	@$(call step,Build tools from their lock,$(PIP) --require-hashes -r requirements-build.txt)
	@$(call step,Packages from their lock (a minute or two),$(PIP) --require-hashes -r requirements.txt)
	@touch $@

$(PROJECT): $(PACKAGES) | var
	@$(call step,eraflow itself,$(PIP) --no-deps --editable .)
	@rm -f $(VENV)/project-* && touch $@

# Its lock holds what the other locks lack, in versions that fit them, so that nothing is to be resolved.
torch: setup $(TORCH) ## add torch, for the networks and their tests; 5 GB

$(TORCH): $(PACKAGES) | var
	@$(call step,Torch from its lock (some minutes),$(PIP) --no-deps --require-hashes -r requirements-torch.txt)
	@rm -f $(VENV)/torch-* && touch $@

var:
	@mkdir -p var

run: setup ## train, score and report on an embedded synthetic universe; ARGS="--config conf/signals.yml" for others
	@$(IN_VENV) spark-submit jobs/train.py $(ARGS)

round: setup ## play the open round by the slots of a configuration; ARGS="--config FILE --send"
	@$(IN_VENV) python jobs/round.py $(ARGS)

monitor: setup ## say of each slot whether it still works; ARGS="--config FILE"
	@$(IN_VENV) python jobs/monitor.py $(ARGS)

round-demo: setup ## show a whole round, Classic and Signals, on invented data at a stand-in for Numerai's server
	@$(IN_VENV) python jobs/round_demo.py --config conf/round-demo.yml $(ARGS)

replay: setup ## play history again: what retraining would have been worth; ARGS="--config conf/signals.yml ..."
	@$(IN_VENV) spark-submit jobs/replay.py $(ARGS)

notebook: setup ## run notebooks/NAME.py and write it with its outputs as HTML; NAME=quick_tour ARGS="--set trees=50"
	@$(IN_VENV) python -m eraflow.notebooks notebooks/$(NAME).py $(ARGS)

# Two processes, each with its own Spark; the tests of one file stay together and share its fixtures.
PYTEST := $(IN_VENV) pytest -n 2 --dist loadfile --no-loadscope-reorder

test: lint ## check style, types and imports, run the tests (under 10 minutes)
	@$(PYTEST) -m 'not slow and not soak' $(ARGS)

test-full: setup ## run the long tests: kills, cluster, real prices (ERAFLOW_REAL_DATA names their folder)
	@$(PYTEST) -m 'slow and not soak' $(ARGS)

# The oldest versions that the wheel's metadata allow: what a platform brings may be of any version from these on.
test-oldest: $(OLDEST) ## run the unit tests and the main job with the oldest versions allowed
	@$(IN_OLDEST) pytest -m 'not slow and not soak' tests/unit $(ARGS)
	@$(IN_OLDEST) python -m eraflow train --set run.dir=var/oldest/runs --set tables.root=var/oldest/tables \
		--set synthetic.days=360 --set kinds.lightgbm.trees=20 --set validation.min_train_eras=20 \
		--set validation.folds=2 --set targets.horizons=[20]

$(OLDEST): | $(PACKAGES) var
	@$(call step,Environment in var/oldest,$(PYTHON) -m venv --clear $(OLDEST_VENV))
	@$(call step,Build tools from their lock,$(PIP_OLDEST) --require-hashes -r requirements-build.txt)
	@$(call step,The oldest packages from their lock (a minute or two),$(PIP_OLDEST) --require-hashes -r requirements-oldest.txt)
	@$(call step,eraflow itself,$(PIP_OLDEST) --no-deps --editable .)
	@$(IN_OLDEST) $(OLDEST_VENV)/bin/python -m eraflow.environment install
	@touch $@

test-soak: setup ## run the tests of full size, for hours: all seeds, all kill points; before a claim
	@$(IN_VENV) pytest -m soak $(ARGS)

lint: setup ## check style, types and who imports whom
	@$(IN_VENV) ruff check --quiet .
	@$(IN_VENV) ruff format --check --quiet . || { echo 'Not formatted: run .venv/bin/ruff format .'; exit 1; }
	@$(IN_VENV) mypy --no-error-summary
	@found=$$($(IN_VENV) lint-imports --no-cache) || { echo "$$found"; exit 1; }

bench: ## list the benchmarks
	@ls benchmarks/[!_]*.py 2>/dev/null | sed 's,.*/\(.*\)\.py,  make bench-\1,; s,_,-,g' || true

bench-%: setup
	@file=benchmarks/$(subst -,_,$*).py; [ -f $$file ] || { echo "There is no $$file: see make bench."; exit 1; }; \
	$(IN_VENV) python $$file $(ARGS)

# The site asks no network for anything; MkDocs' own advertisement of another version of itself is no news here.
docs: setup ## build the documentation into var/site, with its lists of features and its pictures
	@$(PYTHON) -c 'from eraflow.features.sets import reference; print(reference(), end="")' >docs/features.md
	@$(PYTHON) docs/tools/pictures.py
	@built=$$(NO_MKDOCS_2_WARNING=1 $(IN_VENV) mkdocs build --strict 2>&1) || { echo "$$built" | grep -v '^INFO'; exit 1; }
	@echo 'documentation: var/site/index.html'

dist: setup ## write dist/: the wheel, and a zip of what Spark's workers lack, for --archives or --py-files
	@rm -rf dist && mkdir dist
	@$(call step,The wheel in dist/,$(PYTHON) -m pip --disable-pip-version-check --no-input wheel --no-deps \
		--no-build-isolation --wheel-dir dist .)
	@ls dist/*.whl
	@$(PYTHON) -m eraflow.py_files dist/eraflow-py-files.zip

doctor: ## say what the machine has and lacks, and what to type
	@python=$(PYTHON); [ -x $$python ] || python=python3.11; command -v $$python >/dev/null || \
		{ echo 'missing  Python 3.11: install it so that python3.11 is on PATH, then run make setup'; exit 2; }; \
	PYTHONPATH=lib PATH="$(VENV)/bin:$$PATH" $$python -m eraflow.environment doctor

clean: ## remove what runs and tools have written: var/ and caches
	@rm -rf var build dist spark-warehouse metastore_db derby.log .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environment too
	@rm -rf $(VENV)
