"""Grade the grader: wrong answers to the exercises, made from the model answers, of which none may pass.

    python tests/grading.py [--count 500]

Each answer is the model answer with one edit: those of tests/mutation.py (an operator, comparison, sign, constant,
slice or assignment), or one operand in the place of two, a function's argument in the place of its value, a mean in
the place of a sum.  EQUIVALENT says which of them are right all the same.
"""
import argparse
import ast
import random
import time
from collections import Counter

from mutation import replacements

from scratchvae.practice import EXERCISES, judge
from scratchvae.practice.edits import compiled, places

CHOICE = "the weights that training starts from, and the size of a batch, are the student's choice"
# (exercise, right part, wrong part): why it is right.
EQUIVALENT = {
    ("continuous_bernoulli_nll", "1", "(2)"): "stands where t = 0, and np.where chooses the other side there",
    ("d_l_continuous", "1", "(2)"): "stands where a is small, and np.where chooses the other side there",
    ("train", "32", "(33)"): CHOICE,
    ("train", "1", "(2)"): "two samples of z an image are right as well; a step that counts by 2 breaks a law",
    ("train", "np.sqrt(shape[0])", "(shape[0])"): CHOICE,
}


def edited(exercise):
    """Yield (source, right part, wrong part) for each answer that differs from the model answer by one edit."""
    text, seen = exercise.answer, {exercise.answer}
    place = places(text)

    def more(node):
        if isinstance(node, ast.BinOp):
            yield from (node.left, node.right)
        elif isinstance(node, ast.Call) and node.args:
            yield node.args[0]
        elif isinstance(node, ast.Attribute) and node.attr in ("sum", "mean"):
            yield ast.Attribute(node.value, {"sum": "mean", "mean": "sum"}[node.attr], ast.Load())

    def visit(node):
        if ast.unparse(node) == "-1":
            return
        for new in (*(new for _, new in replacements(node)), *more(node)):
            start, stop = place(node)
            shown = ast.unparse(ast.fix_missing_locations(new))
            shown = shown if isinstance(new, (ast.Slice, ast.stmt, ast.Attribute)) else f"({shown})"
            source = text[:start] + shown + text[stop:]
            if source not in seen:
                seen.add(source)
                yield source, text[start:stop], shown
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.arguments):
                yield from visit(child)

    yield from visit(ast.parse(text).body[0])


def wrong_answers(count, seed=0):
    """Return `count` of them, (exercise, function, right part, wrong part), drawn with a seed."""
    every = [(exercise, *edit) for exercise in EXERCISES.values() for edit in edited(exercise)]
    chosen = random.Random(seed).sample(every, min(count, len(every)))
    return [(exercise, compiled(exercise, source), right, wrong) for exercise, source, right, wrong in chosen]


def kind(verdict):
    """Return how a verdict names a mistake."""
    if not verdict.named or verdict.state != "wrong":
        return "no name" if verdict.state == "wrong" else verdict.state
    text = verdict.text
    return ("Python's error and its line" if "stops with" in text else "a shape or kind" if "expected" in text
            else "the one place that differs" if "gives what" in text else "a usual mistake, a factor, a law")


def main():
    """Judge them and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="of wrong answers; default: 500")
    count = parser.parse_args().count
    kinds, slowest, accepted = Counter(), 0.0, []
    for exercise, answer, right, wrong in wrong_answers(count):
        began = time.perf_counter()
        verdict = judge(exercise, answer)
        slowest = max(slowest, time.perf_counter() - began)
        explained = verdict.state == "right" and (exercise.name, right, wrong) in EQUIVALENT
        if verdict.state == "right" and not explained:
            accepted.append((exercise.name, right, wrong))
        kinds["equivalent" if explained else kind(verdict)] += 1
        if kind(verdict) == "no name":
            print(f"no name: {exercise.name}: {right!r} -> {wrong!r}: {verdict.text}")
    print(f"{sum(kinds.values())} edited answers; accepted: {accepted or 'none'}; slowest {slowest:.2f} s")
    for name, number in kinds.most_common():
        print(f"{number:5d} {name}")


if __name__ == "__main__":
    main()
