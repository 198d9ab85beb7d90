# make lab       open JupyterLab on chapter 1
# make test      everything: unit tests, and every cell of every chapter re-executed and compared
# make outputs   re-execute the chapters and store what they print (the only way outputs change)
# make lint      ruff: code, tests and notebooks
#
# Each target makes the virtual environment it needs on its first call.

PYTHON ?= python3.11
BIN := .venv/bin
NOTEBOOKS ?= $(sort $(wildcard notebooks/*.ipynb))

.PHONY: lab test outputs lint clean

lab: .venv/ready
	$(BIN)/jupyter lab $(LAB_ARGS) $(firstword $(NOTEBOOKS))

test: .venv/ready
	$(BIN)/pytest $(TEST_ARGS)

# Metadata that changes from run to run, or tells of the machine, is not stored.
outputs: .venv/ready
	$(BIN)/python -m helpers.data --full
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --log-level WARN \
	  --ExecutePreprocessor.record_timing=False \
	  --ExecutePreprocessor.store_widget_state=False \
	  --ExecutePreprocessor.timeout=-1 \
	  --ClearMetadataPreprocessor.enabled=True \
	  --ClearMetadataPreprocessor.preserve_nb_metadata_mask "{'kernelspec', ('language_info', 'name')}" \
	  --ClearMetadataPreprocessor.preserve_cell_metadata_mask "{'tags'}" \
	  $(NOTEBOOKS)

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The stamp is written last, so an installation that was interrupted starts over.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv
