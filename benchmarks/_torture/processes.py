"""Many at once: processes that start together from an empty kernel cache, and runs aimed at one folder."""
import time

from .kills import arrays_of, same
from .verdict import start, train_command, Verdict

SETTINGS = ["--data", "digits", "--hidden", 16, "--latent", 3, "--epochs", 3]


def together(commands, **environment):
    """Start commands at once; return [(status, standard error)] and the seconds until the last has ended."""
    begun = time.perf_counter()
    processes = [start(words, **environment) for words in commands]
    said = [process.communicate()[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said)], time.perf_counter() - begun


def run(folder, processes):
    """The trial: `processes` processes share an empty cache."""
    outs = [folder / f"run{i}" for i in range(processes)]
    done, seconds = together([train_command(*SETTINGS, "--out", out) for out in outs],
                             SCRATCHVAE_CACHE=str(folder / "cache"))
    failed = [text[-300:] for status, text in done if status]
    equal = not failed and all(same(arrays_of(outs[0]), arrays_of(out)) for out in outs)
    return Verdict("an empty kernel cache", f"{processes - len(failed)} of {processes} processes succeed, "
                   f"{'same' if equal else 'DIFFERENT'} bits, {seconds:.0f} s", f"{processes}, same bits", equal,
                   {"processes": processes, "failed": failed, "seconds": seconds})


def run_one_folder(folder, processes):
    """The trial: `processes` runs are started at once into one folder; exactly one trains."""
    words = train_command("--data", "digits", "--hidden", 16, "--latent", 3, "--epochs", 20, "--out", folder / "run")
    done, _ = together([words] * processes)
    trained = sum(status == 0 for status, _ in done)
    refused = sum(status == 2 and len(text.strip().splitlines()) == 1 for status, text in done)
    return Verdict("runs aimed at one folder", f"{trained} of {processes} trains, {refused} are refused in one line",
                   f"1, {processes - 1}", trained == 1 and refused == processes - 1,
                   {"processes": processes, "said": [text[-200:] for status, text in done if status]})
