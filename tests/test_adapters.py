"""The page of adapters: every example runs, and no adapter takes more than three lines."""
import doctest
import re
from pathlib import Path

import pytest

import scratchvae.gradcheck

PAGE = (Path(scratchvae.gradcheck.__file__).parent / "adapters.md").read_text(encoding="utf-8")
FIRST, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
NEEDS = {"PyTorch": "torch", "JAX": "jax"}


@pytest.mark.filterwarnings("default")                            # of packages that are not ours
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_an_adapter_runs_and_is_short(section):
    package = NEEDS.get(section.split(":")[0])
    if package:
        pytest.importorskip(package, reason="its adapters are tested where it is installed")
    failed = []
    test = doctest.DocTestParser().get_doctest(FIRST + section, {}, "adapters.md", None, None)
    assert not doctest.DocTestRunner(verbose=False).run(test, out=failed.append).failed, "".join(failed)
    assert 1 <= section.count("# check\n") <= 3


def test_every_section_is_in_the_list():
    listed = re.findall(r"\]\(#([\w-]+)\)", FIRST)
    titles = [section.splitlines()[0] for section in SECTIONS]
    assert listed == [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
