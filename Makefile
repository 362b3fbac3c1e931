# Two commands do everything, set-up included:
#   make reproduce    the notebooks, through papermill, on the simulated data; with DATA=rats those
#                     that take them, on eleven real rats (58 MB, downloaded once)
#   make test         the tests, every notebook among them
# and:
#   make student      the notebooks for a class, solutions taken out (make instructor: with notes)
#   make slides       a lecture from each notebook, into slides/
#   make site         the notebooks, documents, results and an API reference as a book, into site/html
#   make rehearsal    without a network: the Allen path, from listing to decoding, and the paper's rows
#   make gpu          on a machine with a GPU: is it right there, how fast, and the rats at full size
#   make drawings     the drawings of the method and the protocols, into results/figures
#   make lint         ruff and mypy, as CI asks them
#   make lock         newest versions that fit together, into constraints.txt
# The first Python from 3.11 on that answers; or make PYTHON=/path/to/python.
PYTHON  ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
PROFILE ?= laptop
DATA    ?= simulated
# Notebooks side by side: small encoders train on one thread each.
JOBS    ?= 2
BIN     := .venv/bin
READY   := .venv/.ready
SITE    := .venv/.ready-for-site
RATS    ?= data/processed/rat_decisions
GPU_PYTHON = $(or $(wildcard $(BIN)/python),$(PYTHON))
UV      := $(shell command -v uv)
INSTALL  = $(if $(UV),$(UV) pip install -q --python $(BIN)/python,$(BIN)/python -m pip install -q --disable-pip-version-check)
# For Linux the registry has torch with gigabytes of GPU libraries. Where there is no GPU it comes
# from PyTorch's own index; where that can't be reached, from the registry all the same.
CPU_TORCH := https://download.pytorch.org/whl/cpu
WANTS_CPU  = [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && \
	$(PYTHON) -c "import urllib.request as ask; ask.urlopen('$(CPU_TORCH)/torch/', timeout=5)" 2>/dev/null

export PYTHONHASHSEED = 0

.PHONY: setup reproduce test test-slow notebooks student instructor site slides repository rehearsal bench drawings gpu lab lint format lock clean

setup: $(READY)

$(READY): requirements.txt constraints.txt pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or later is needed$(if $(PYTHON),: '$(PYTHON)' is not,; none was found). If yours has another name: make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version) ($(PYTHON)) and $(if $(UV),uv,pip)"
	@$(if $(UV),$(UV) venv -q --clear --python $(PYTHON) .venv,$(PYTHON) -m venv --clear .venv)
	@if $(WANTS_CPU); then $(INSTALL) -c constraints.txt --no-deps --index-url $(CPU_TORCH) torch; fi
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-deps allensdk==2.16.2
	@touch $@

reproduce: $(READY)
	$(if $(filter $(DATA),simulated rats),,$(error DATA is '$(DATA)'; use simulated or rats))
	$(BIN)/python notebooks/run.py --profile $(PROFILE) --data $(DATA) --jobs $(JOBS)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --dist loadgroup

test-slow: $(SITE)
	$(BIN)/python -m pytest -q -m slow

# Run the notebooks and put what they printed and drew into the committed pairs.
notebooks: $(READY)
	$(BIN)/python notebooks/run.py --profile laptop --publish

student instructor: $(READY)
	$(BIN)/python notebooks/course.py $@

# reveal.js and MathJax come along as files, out of packages that carry them, so that a lecture needs
# no network.
slides/files: | $(READY)
	$(INSTALL) --no-deps --target $@ sphinx-revealjs==3.2.1 jupyter-server-mathjax==0.2.6

slides: $(READY) slides/files
	$(BIN)/python notebooks/lecture.py

$(SITE): $(READY)
	$(INSTALL) -c constraints.txt -e '.[site]'
	@touch $@

# docs/api is made anew by it, from the docstrings.
site: $(SITE)
	rm -rf docs/api
	$(BIN)/python -m sphinx -M html . site -c docs/site -q -W --keep-going
	@echo 'site/html/index.html'

# make repository NAME=owner/name: write it into badges, set-up cells and CITATION.cff.
repository: $(READY)
	$(BIN)/python notebooks/course.py repository $(NAME)

rehearsal: $(READY)
	$(BIN)/python tests/rehearse_allen.py --out data/processed/rehearsal
	$(BIN)/python tests/rehearse_paper.py --out data/processed/rehearsal

bench: $(READY)
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/views.py

drawings: $(READY)
	$(BIN)/python notebooks/drawings.py

# All that is owed on a GPU, in less than 25 minutes; run again, it does what is missing. Also on a
# machine without the packages of notebooks and sources, where .venv can't be set up.
gpu:
	@test -f results/gpu/training.csv || PYTHONPATH=. $(GPU_PYTHON) benchmarks/gpu.py --out results/gpu
	PYTHONPATH=. $(GPU_PYTHON) benchmarks/gpu_rats.py $(RATS) --out results/gpu

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:
	uv pip compile -q --upgrade --universal --python-version 3.11 --extra all --extra site --no-annotate \
		--custom-compile-command "make lock" -o constraints.txt pyproject.toml

lab: $(READY)
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf .venv notebooks/executed runs student instructor site slides docs/api
