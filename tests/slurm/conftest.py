"""The cluster that the tests here share; only `make test-slurm` starts it."""

import os
from collections.abc import Iterator

import cluster
import pytest


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[None]:
    """A SLURM of the tests' own."""
    if "SLURM_TESTS" not in os.environ:
        pytest.skip("starts SLURM's daemons: run `make test-slurm`")
    if why_not := cluster.obstacle():
        pytest.skip(why_not)
    with cluster.cluster(tmp_path_factory.mktemp("slurm")):
        yield
