# Two commands: `make demo` shows what the suite does for a company, `make test` passes its tests. Both set up first.
.DEFAULT_GOAL := help
PY := .venv/bin/python
DEMO ?= build/demo
CUSTOMERS ?= 2000
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help setup demo test test-full lint docs bench package package-environment s3-server cluster-demo lock clean

help:                ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 34

setup:               ## Python packages, encoders, Java, JARs: once; later runs return at once
	@sh deploy/setup.sh

demo: setup          ## a generated company through every stage, and its report
	@$(PY) -m crm_spark.cli.app demo --out $(DEMO) --customers $(CUSTOMERS)

lint: setup          ## ruff and mypy
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

test: setup lint     ## the tests, in two processes: about 40 minutes on two cores
	@$(PY) -m pytest -n 2 --dist loadscope -m "not slow and not gpu"

test-full: setup lint ## all tests, including the slow ones: hours
	@$(PY) -m pytest

docs: setup          ## the documentation site in build/site
	@$(PY) deploy/generate_reference.py && NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict

bench: setup         ## benchmarks; one of them: make bench NAME=refresh
	@$(PY) -m benchmarks $(NAME)

package: setup       ## the archive and the JARs for spark-submit, in build/package
	@$(PY) deploy/package.py

package-environment: setup ## the Python packages that executors need, in build/package/environment.tar.gz
	@$(PY) deploy/pack_environment.py

s3-server: setup     ## an S3 server for the tests of `make test-full`, built in some minutes
	@sh deploy/s3_server.sh

cluster-demo: setup  ## a generated company on a Spark cluster and an HDFS of this machine, compared with local mode
	@$(PY) deploy/cluster_demo.py

lock: setup          ## write requirements.lock anew from pyproject.toml
	@sh deploy/lock.sh

clean:               ## what demo, test and bench made; the set-up stays
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
