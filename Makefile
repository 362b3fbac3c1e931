# Two commands do everything, set-up included:
#   make reproduce    the notebooks, through papermill, on the simulated data
#   make test         the tests, every notebook among them
# and:
#   make student      the notebooks for a class, solutions taken out (make instructor: with notes)
#   make rehearsal    the Allen path, from listing to decoding, against a stand-in of their server on this machine
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
PROFILE ?= laptop
BIN     := .venv/bin
READY   := .venv/.ready

export PYTHONHASHSEED = 0

.PHONY: setup reproduce test test-slow notebooks student instructor site repository rehearsal bench lab clean

setup: $(READY)

# torch goes in first: asked for by another package, pip might pick a build with gigabytes of GPU libraries.
$(READY): requirements.txt constraints-py311.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 is needed (AllenSDK installs on no later one), as '$(PYTHON)'. If yours has another name: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints-py311.txt torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints-py311.txt -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

reproduce: $(READY)
	$(BIN)/python notebooks/run.py --profile $(PROFILE)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --dist loadgroup -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow

# Run the notebooks and put what they printed and drew into the committed pairs.
notebooks: $(READY)
	$(BIN)/python notebooks/run.py --profile laptop --publish

student instructor site: $(READY)
	$(BIN)/python notebooks/course.py $@

# make repository NAME=owner/name: write it into badges, set-up cells and CITATION.cff.
repository: $(READY)
	$(BIN)/python notebooks/course.py repository $(NAME)

rehearsal: $(READY)
	$(BIN)/python tests/rehearse_allen.py --out data/processed/rehearsal

bench: $(READY)
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/views.py

lab: $(READY)
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf .venv notebooks/executed runs student instructor site
