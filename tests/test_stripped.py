"""`python -OO` drops docstrings and assertions: nothing that a command does or prints may need them."""
import json
import os
import subprocess
import sys
from pathlib import Path

from scratchvae import bugs
from scratchvae.practice.folder import start

COMMANDS = """
import importlib, pkgutil, runpy, sys, scratchvae
for module in pkgutil.walk_packages(scratchvae.__path__, "scratchvae."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for words in ("train --data digits --hidden 4 --latent 2 --epochs 1 --out run", "evaluate run --importance-samples 2",
              "sample run", "reconstruct run", "traverse run", "attribute run --attribute 3", "gradcheck run",
              "estimators --epochs 1 --draws 256",
              "lambda --data digits --betas 0.5,1 --hidden 4 --epochs 1 --importance-samples 2",
              "backward --out page.html", "data list", "bugs missing_half --data digits --epochs 2",
              "explain E7", "practice start mine", "bugs --hide 1", "bugs --json"):
    sys.argv[1:] = words.split()
    try:
        runpy.run_module("scratchvae", run_name="__main__")
    except SystemExit as leaving:
        if leaving.code:
            raise
"""


def test_every_command_runs_under_python_oo_and_the_bugs_keep_their_descriptions(tmp_path):
    done = subprocess.run([sys.executable, "-OO", "-c", COMMANDS], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "SCRATCHVAE_BACKEND": "numpy", "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    start(Path(tmp_path, "ours"))
    for path in sorted(Path(tmp_path, "ours").glob("*.py")):
        assert Path(tmp_path, "mine", path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    rows = json.loads(done.stdout.splitlines()[-1])["bugs"]
    assert {row["name"]: row["what"] for row in rows} == {name: bug.what for name, bug in bugs.BUGS.items()}
