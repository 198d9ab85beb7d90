# make lab       open JupyterLab on chapter 1; in Korean: make lab LANGUAGE=ko
# make check     after a change: lint, unit tests, all chapters on the sample; four minutes
# make test      before a release: unit tests, and every cell of every chapter re-executed and compared
# make test-slow the rest, once a week: tests marked slow, mutants, test-portable, test-newest; hours
# make outputs   re-execute the chapters and store what they print (the only way outputs change)
# make lint      ruff: code, tests and notebooks
# make site      turn the stored chapters into a web site, _site/html; nothing is executed
# make student   the course without its solutions, in _student, to hand out
# make bench     measure the course beside the straightforward way, about seven minutes
#
# make test-browser    the site, and every chapter run in JupyterLab, looked at in a browser
# make test-marked     the tests marked slow
# make mutants         break helpers and chapters in many small ways: do the tests notice? an hour
# make test-portable   the chapters as other machines run them, or with other seeds
# make test-newest     make test with the newest versions of all but torch
# make audit           are there known vulnerabilities in the pinned versions?
#
# Each target makes the virtual environment it needs on its first call. PYTHON=python3.13 names the
# interpreter, TORCH=cpu or TORCH=pypi the kind of PyTorch; else course.py finds out.

# Any Python can run course.py, which chooses the one for the environment.
ANY := $(shell for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python; do \
  "$$python" -c "import sys; assert sys.version_info > (3, 8)" 2>/dev/null && echo "$$python" && break; done)
COURSE = "$(or $(ANY),$(error No Python is found here. The course needs Python 3.11, 3.12 or 3.13: \
  the README says how to get one, or name it, make $@ PYTHON=/the/path/to/python))" course.py
BIN := .venv/bin
# The chapters; an Untitled.ipynb or 05_imdb_sentiment-Copy1.ipynb is the learner's own.
NOTEBOOKS ?= $(sort $(wildcard notebooks/[0-9][0-9]_*[a-z].ipynb))

# How long a thread of PyTorch spins while it waits for another (Linux). At this count a quiet machine
# loses nothing, and on a busy one training takes half as long as with the default.
export GOMP_SPINCOUNT ?= 10000

.PHONY: lab korean check test test-slow outputs lint site student bench clean \
  test-browser browser-tools test-marked mutants test-portable test-newest audit FORCE

lab:
	@$(COURSE) lab $(LAB_ARGS) $(filter ko,$(LANGUAGE))

# The Korean notebooks and pages, from the English ones and locale/ko.
korean: .venv/ready
	$(if $(wildcard locale/translate.py),$(BIN)/python locale/translate.py)

check:
	@$(COURSE) check $(TEST_ARGS)

test:
	@$(COURSE) test $(TEST_ARGS)

# With --keep-going, a part that fails does not keep the others from running.
test-slow: test-marked mutants test-portable test-newest

test-marked: .venv/ready
	$(BIN)/pytest -m slow $(TEST_ARGS)

test-browser: browser-tools site
	$(BIN)/pytest tests/browser $(TEST_ARGS)

# Installed where it may be: as root on Debian. Elsewhere `make site` and the tests say what to do.
browser-tools:
	@set -e; missing=; command -v npm >/dev/null || missing=npm; browser=; \
	for name in chromium chromium-browser google-chrome $$CHROMIUM; do \
	  if command -v $$name >/dev/null; then browser=$$name; fi; \
	done; \
	[ -n "$$browser" ] || missing="$$missing chromium"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq; \
	  apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# MUTANT_ARGS: parts of file names or cell ids; -n 4, four at once; --real, the real data's own
mutants: .venv/ready
	$(BIN)/python tests/mutants/run.py $(MUTANT_ARGS)

# CHAPTERS="01 02", MACHINES="OMP_NUM_THREADS=1 DNNL_MAX_CPU_ISA=AVX2"; SEEDS=10 for other seeds
test-portable: .venv/ready
	$(BIN)/python tests/portable/run.py $(if $(CHAPTERS),--chapters $(CHAPTERS)) \
	  $(if $(MACHINES),--machines $(MACHINES)) $(if $(SEEDS),--seeds $(SEEDS))

# What pip would choose today, of all but torch.
test-newest: .venv/ready
	$(BIN)/python -m venv --clear .venv-newest
	grep '^torch==' constraints.txt >.venv-newest/constraints.txt
	.venv-newest/bin/python -m pip install --quiet --constraint .venv-newest/constraints.txt --editable '.[test]'
	.venv-newest/bin/python -m pytest $(TEST_ARGS)

# --strict: a package that could not be looked up is no package without findings.
audit:
	"$(ANY)" -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# KaTeX's style sheet and fonts become part of the site: a reader's browser asks no other host.
KATEX := _site/node_modules/katex/dist
pages = SITE_LANGUAGE=$1 NODE_MODULES="$(CURDIR)/_site/node_modules" $(BIN)/sphinx-build -q --fail-on-warning \
  --keep-going -d _site/doctrees-$1 _site/$1 $2
site: .venv/site korean
	@command -v npm >/dev/null || { echo "make site needs Node.js with npm" >&2; exit 1; }
	rm -rf _site
	mkdir -p _site/en
	cp -r docs/. README.md $(NOTEBOOKS) notebooks/ko/glossary.md _site/en
	cp docs/package.json docs/package-lock.json _site
	npm ci --silent --prefix _site
	mkdir _site/en/_static/fonts
	cp $(KATEX)/katex.min.css _site/en/_static
	cp $(KATEX)/fonts/*.woff2 _site/en/_static/fonts
	cp -r _site/en _site/ko
	cp notebooks/ko/* _site/ko
	cp README.ko.md _site/ko/README.md
	$(call pages,en,_site/html)
	$(call pages,ko,_site/html/ko)

# What git knows, but for the tests and the translations, which hold the solutions too.
# The Korean chapters go with it as they are made: locale/ko has the solutions, too.
student: korean
	rm -rf _student
	mkdir _student
	git ls-files -z -- . ':!tests' ':!.ci' ':!.github' ':!locale/translate.py' ':!locale/ko/0*' | tar --null -T - -cf - | tar -xf - -C _student
	cp -R notebooks/ko _student/notebooks
	grep -v notebooks/ko .gitignore >_student/.gitignore
	$(BIN)/jupyter nbconvert --to notebook --inplace --log-level WARN \
	  --TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags solution \
	  _student/notebooks/*.ipynb _student/notebooks/ko/*.ipynb

bench: .venv/ready
	CUDA_VISIBLE_DEVICES= TQDM_DISABLE=1 $(BIN)/python tests/bench/bench.py
	CUDA_VISIBLE_DEVICES= TQDM_DISABLE=1 $(BIN)/python tests/bench/busy.py
	TQDM_DISABLE=1 $(BIN)/python tests/bench/gpu.py

# Only on the real data, as far as these chapters need any: loading the sample says why, and fails.
# Metadata that changes from run to run, or tells of the machine, is not stored. The picture of the
# README is figure 3.
real = $(BIN)/python -c "import sys; from helpers import data; data.$1(); sys.exit(data.is_sample('$2'))"
outputs: .venv/ready
	$(if $(findstring /05_,$(NOTEBOOKS)),$(call real,IMDB,imdb))
	$(if $(findstring /06_,$(NOTEBOOKS)),$(call real,mysterious_island,island))
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --log-level WARN \
	  --ExecutePreprocessor.record_timing=False \
	  --ExecutePreprocessor.store_widget_state=False \
	  --ExecutePreprocessor.timeout=-1 \
	  --ClearMetadataPreprocessor.enabled=True \
	  --ClearMetadataPreprocessor.preserve_nb_metadata_mask "{'kernelspec', ('language_info', 'name')}" \
	  --ClearMetadataPreprocessor.preserve_cell_metadata_mask "{'tags'}" \
	  $(NOTEBOOKS)
	$(BIN)/python -c "from pathlib import Path; from helpers.figures import nets, style; \
	  Path('docs/_static/course.png').write_bytes(style.drawn(nets.feedforward_and_recurrent()))"

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# At each call course.py looks whether the environment is whole, and writes the stamp if it made it.
.venv/ready: FORCE
	@$(COURSE) ready
FORCE:

.venv/site: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[site,browser]'
	touch $@

clean:
	rm -rf .venv .venv-* _site _student _executed
