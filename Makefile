# Every target sets itself up in .venv from nothing but Python >= 3.11 (make PYTHON=python3.12 ...).
# The install is editable: a change in rnnlm/ is live, and a second call installs nothing.

PYTHON     ?= python3
VENV       := .venv
BIN        := $(VENV)/bin
PIP        := $(BIN)/python -m pip install -q --disable-pip-version-check
KERNELS    := rnnlm/nn/_kernels.c rnnlm/nn/_kernels_loops.h
# Tables of speed; the other programs in benchmarks/ train for long and say in their first lines how.
BENCHMARKS := training_speed.py 'adaptive_softmax.py steps' inference_speed.py rescoring.py text_speed.py startup.py

DEMO_CORPUS  ?= corpora/chinese.txt
DEMO_OPTIONS ?= --time 85s --batch-size 8
PYTEST_OPTIONS ?=

ask = @for who in 我 他 妹妹; do \
	    echo "$$who 昨天 上学 迟到 了 ， 老师 批评 了"; \
	    $(BIN)/rnnlm predict -m $(1) -k 3 "$$who 昨天 上学 迟到 了 ， 老师 批评 了" || exit; \
	done

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint package pythons site sanitize bench clean

help:
	@echo 'make demo       train a small model in under two minutes, then predict and sample'
	@echo 'make test       run the tests'
	@echo 'make lint       check format, style and types'
	@echo 'make package    build the distribution, and try it in a bare environment and with the lowest versions'
	@echo 'make pythons    try the distribution with each Python of PYTHONS that is here'
	@echo 'make site       make a site of docs/ in build/site'
	@echo 'make sanitize   test the compiled kernels with the sanitizers of GCC'
	@echo 'make bench      print tables of speed'
	@echo 'make clean      remove .venv, caches and the demo model'

demo: $(VENV)/core.stamp
	@echo '# Learn from $(DEMO_CORPUS):'
	$(BIN)/rnnlm train $(DEMO_CORPUS) -o demo.npz $(DEMO_OPTIONS) --force
	@echo '# Whom did the teacher criticise? The first word decides it, eight words back:'
	$(call ask,demo.npz)
	@echo '# Ask a bigram of the same text, which sees the last word alone:'
	@$(BIN)/rnnlm ngram train $(DEMO_CORPUS) --order 2 -o demo-bigram.npz --force 2>/dev/null
	$(call ask,demo-bigram.npz)
	@echo '# The same question after every word:'
	$(BIN)/rnnlm predict -m demo.npz --each "我 昨天 上学"
	@echo '# Five sentences of its own:'
	$(BIN)/rnnlm sample -m demo.npz --count 5

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: $(VENV)/lint.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The distribution as a user gets it. Installed without this checkout it has to work with the newest and with the lowest
# versions of what it needs. KEPT are tests that need nothing else, and ask every command.
PYTHONS ?= 3.11 3.12 3.13 3.14
DIST    := build/dist
TRIED   := build/tried
KEPT    := tests/test_contract.py tests/test_formats.py tests/test_schema.py tests/storage/test_archive.py
UV      := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
build   = $(BIN)/python -m build --installer uv $(1) -o $(DIST) . > build/build.log 2>&1 || { cat build/build.log; exit 1; }
package: $(VENV)/package.stamp
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/wish.yml
	$(BIN)/mkdocs build -q --strict
	rm -rf $(DIST) $(TRIED) && mkdir -p $(DIST)
	$(call build,)
	$(BIN)/twine check --strict $(DIST)/*
	@echo '# Nothing but the wheel and what it needs:'
	$(UV) venv -q -p $(BIN)/python $(TRIED)/bare
	$(UV) pip install -q -p $(TRIED)/bare $(DIST)/*.whl
	$(TRIED)/bare/bin/python tests/smoke.py --compiled
	@echo '# The lowest versions of what it needs:'
	$(UV) venv -q -p $(BIN)/python $(TRIED)/lowest
	$(UV) pip install -q -p $(TRIED)/lowest --resolution lowest-direct $(DIST)/*.whl
	$(TRIED)/lowest/bin/python tests/smoke.py --compiled
	$(UV) pip freeze -q -p $(TRIED)/lowest | grep -v '^rnnlm-cli' > $(TRIED)/lowest.txt
	$(UV) pip install -q -p $(TRIED)/lowest -c $(TRIED)/lowest.txt pytest 'hypothesis[numpy]'
	$(TRIED)/lowest/bin/python -m pytest -q -p no:cacheprovider $(KEPT)

pythons: $(VENV)/package.stamp
	rm -rf $(DIST) && mkdir -p $(DIST)
	$(call build,--sdist)
	@set -e; for version in $(PYTHONS); do \
	    if $(UV) python find -q $$version >/dev/null 2>&1; then \
	        echo "# Python $$version"; \
	        rm -rf $(TRIED)/$$version && $(UV) venv -q -p $$version $(TRIED)/$$version; \
	        $(UV) pip install -q -p $(TRIED)/$$version $(DIST)/*.tar.gz; \
	        $(TRIED)/$$version/bin/python tests/smoke.py --compiled; \
	    else echo "# Python $$version is not here"; fi; \
	done

site: $(VENV)/package.stamp
	$(BIN)/mkdocs build --strict

# A copy of the package with kernels that look at every access to memory, tested beside the real one.
SANITIZED := build/sanitized
sanitize: $(VENV)/test.stamp
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED) && cp -r rnnlm tests pyproject.toml README.md LICENSE $(SANITIZED)
	cd $(SANITIZED) && CC=gcc CFLAGS='-g1 -fsanitize=address,undefined -fno-sanitize-recover=all' \
	    $(abspath $(BIN))/python -c 'from setuptools import setup; setup()' -q build_ext --inplace --force
	cd $(SANITIZED) && LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=. $(abspath $(BIN))/python -m pytest -q -p no:cacheprovider tests/nn/test_kernels.py

bench: $(VENV)/test.stamp
	@set -e; for program in $(BENCHMARKS); do echo "# $$program"; $(BIN)/python benchmarks/$$program; done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.npz demo-bigram.npz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes after everything that can fail, so that a broken start is tried again.
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'rnnlm needs Python 3.11 or newer; "$(PYTHON)" is not. Try: make PYTHON=python3.12' >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo 'This Python has no venv module. On Debian and Ubuntu: apt install python3-venv' >&2; \
	    exit 1; }
	@echo '# Setting up $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/core.stamp: pyproject.toml $(KERNELS) $(VENV)/venv.stamp
	@echo '# Installing rnnlm'
	@$(PIP) -e .
	@touch $@

$(VENV)/test.stamp $(VENV)/lint.stamp $(VENV)/package.stamp: $(VENV)/%.stamp: pyproject.toml $(KERNELS) $(VENV)/venv.stamp
	@echo '# Installing rnnlm and its $* tools'
	@$(PIP) -e '.[$*]'
	@touch $@
