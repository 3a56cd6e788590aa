# make demo        the quickstart study on the bundled teacher and clips, then its table
# make test        lint, types and tests
# make dashboard   the results in a browser
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: demo test dashboard clean

demo: $(VENV)/.ready
	$(RUN) -m bench multirun

test: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(RUN) -m pytest -n 2 --dist loadfile

dashboard: $(VENV)/.ready
	$(RUN) -m dashboard --results $(wildcard results/local) results

# lpips is taken without its dependencies: it would pull in torchvision, of which only its own weights file is used.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[wan,demo,dashboard,figures,curves,onnx,energy,peers,browser,joblib,slurm,ray,dev]'
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --no-deps lpips
	touch $@

clean:
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
