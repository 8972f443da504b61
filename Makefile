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
.PHONY: help demo test lint sanitize bench clean

help:
	@echo 'make demo       train a small model in under two minutes, then predict and sample'
	@echo 'make test       run the tests'
	@echo 'make lint       check format, style and types'
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

$(VENV)/test.stamp $(VENV)/lint.stamp: $(VENV)/%.stamp: pyproject.toml $(KERNELS) $(VENV)/venv.stamp
	@echo '# Installing rnnlm and its $* tools'
	@$(PIP) -e '.[$*]'
	@touch $@
