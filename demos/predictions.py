"""Three questions a chapter, each answered by a number that is computed here: predict, run, explain.

`python -m demos.predictions` writes the questions with their folded answers, and the worked example of demos/worked.py,
into demos/README.md, between the comments that name them; `python -m demos.predictions c03` prints those of a chapter.
"""
import argparse
import re
import sys
from pathlib import Path

import numpy as np

from scratchvae.analysis.attribute_vectors import balanced_difference
from scratchvae.explain.words import FORMULAS
from scratchvae.probability.distributions import Discrete
from scratchvae.probability.divergences import kl

from .answers import (adam_steps, best_variances, certified_draw, change_of_a_probe, classes_along_the_small_direction,
                      constant_cost, each_draw_twice, exact_weights, forgotten_half, gaussian, half_a_batch, ledger,
                      mean_vector, NODES, P, prior_for_posterior, Q, share, signs, slopes_of_kl, staircase, two_humps,
                      vectors, WEIGHTS, without_noise)
from .c13_certificate import shared_roots
from .worked import entries, example, shapes

PAGE = Path(__file__).parent / "README.md"

BOXES = {  # chapter: (question, answer, explanation) three times
    "c01": [
        ("p = (1/2, 1/2) and q = (9/10, 1/10). Which is larger, KL(p ‖ q) or KL(q ‖ p)?",
         lambda: f"The first: {kl(P, Q):.3f} nats, and {kl(Q, P):.3f}.",
         "The outcome with q = 1/10 happens half of the time under p, and one time in ten under q."),
        ("The same p, and q = (1, 0). Which of the two is finite?",
         lambda: f"KL(q ‖ p) = {kl(Discrete([1, 0]), P):.3f} nats; the first is {kl(P, Discrete([1, 0]))}.",
         "p needs an outcome for which q has no code at all."),
        ("What is KL(p ‖ q) of two independent messages of the first p and q?",
         lambda: f"{kl(Discrete([0.25] * 4), Discrete([0.81, 0.09, 0.09, 0.01])) / kl(P, Q):.0f} times as much.",
         "The logarithm of a product is a sum.")],
    "c02": [
        ("Each code is multiplied by 10, and the decoder first divides by 10. What happens to the loss?",
         lambda: f"It changes by {abs(np.tanh(10 * 0.7 / 10) - np.tanh(0.7)):.3f}.", "This is F6."),
        ("Data have independent directions of variance 9, 4 and 1. What is the least loss of a linear pair with Z = 2?",
         lambda: f"{np.sort(np.linalg.eigvalsh(np.diag([9.0, 4.0, 1.0])))[:-2].sum():.3f}.",
         "The best linear pair is PCA, which loses the third direction."),
        ("Codes are spread like N(0, 16). How far is KL(codes ‖ N(0, 1)) from 0?",
         lambda: f"{kl(gaussian(0.0, 16.0), gaussian(0.0, 1.0)):.3f} nats.",
         "Nothing in F5 makes it smaller.")],
    "c03": [
        ("eps = 0 for every draw of chapter 4's worked step. What is dL/dv of the first example's first latent?",
         without_noise,
         "Only the slope of the KL is left, because the other one has the factor eps (F11)."),
        ("f(z) = z², mu = 1, sigma = 2. What are the two slopes of F11?",
         lambda: f"{WEIGHTS @ (2 * (1 + 2 * NODES)):.3f} by mu and "
                 f"{WEIGHTS @ (2 * (1 + 2 * NODES) * NODES):.3f} by v.",
         "E z² = mu² + sigma², whose slopes are 2 mu and sigma²."),
        ("f(z) = 100 for every z, sigma = 1. What variance have the estimates of the slope by mu?",
         constant_cost, "The score function is 100 eps. A baseline of 100 mends it.")],
    "c04": [
        ("Keep only the first example of the worked step. Which numbers change?", half_a_batch,
         "No example knows of the others. The mean over B does."),
        ("K = 4 instead of 2, by using each draw twice. Which numbers change?", each_draw_twice,
         "There are twice as many rows of half the weight."),
        ("How many entries of d_l are positive where the pixel is 1, and where it is 0?", signs,
         "d_l is sigmoid(l) - x over B K, and a sigmoid lies between 0 and 1.")],
    "c05": [
        ("mu = 0 and v = 0. What is the KL, and what are its slopes?",
         slopes_of_kl, "q is the prior there."),
        ("v = -2. What is sigma, and what is it for someone who writes exp(v)?",
         lambda: f"{np.exp(-1.0):.3f}, and {np.exp(-2.0):.3f}.", "v is the logarithm of sigma²."),
        ("A decoder puts out the logit 0 everywhere. What do 784 pixels cost?",
         lambda: f"{784 * np.logaddexp(0, 0.0):.1f} nats.",
         "F16 is log 2 there. An untrained model starts near this number.")],
    "c06": [
        ("dec(z) = z and Z = 1. Which sigma² is best for lambda = 0, 2 and 200?",
         best_variances,
         "Noise harms the reconstruction, and a large lambda makes q the prior."),
        ("sigma_x falls from 0.3 to 0.15. What happens to lambda?",
         lambda: f"{2 * 0.3 ** 2:.3f} becomes {2 * 0.15 ** 2:.3f}.",
         "Pixels twice as precise make the KL four times cheaper."),
        ("The mean squared error over 784 pixels in [0, 1] has lambda = 1. Which sigma_x is this?",
         lambda: f"{np.sqrt(784 / 2):.1f}.",
         "lambda = 2 sigma_x² / D: far wider than the pixels' range.")],
    "c07": [
        ("In one dimension half of the draws count. How many of 10,000 count in ten?",
         lambda: f"{10_000 * 0.5 ** 10:.1f}.", "The share is a product of one factor a dimension."),
        ("In one dimension the posterior is a Gaussian. Draws come from one of the same mean, 1.5 times as wide, then "
         "0.6 times. What share counts?",
         lambda: f"{share(1.5):.2f}, and {share(0.6):.2f}.",
         "Below 0.71 times E[w²] is infinite. Too wide only wastes."),
        ("q is the posterior. By how much do the log weights of different draws differ?", exact_weights,
         "p(x | z) p(z) / p(z | x) is p(x) for every z: one draw is enough.")],
    "c08": [
        ("x given z is N(z, 1), x = 1, and q is the prior. How far is the ELBO below log p(x)?",
         prior_for_posterior, "The posterior is N(1/2, 1/2), and the gap is KL(q ‖ posterior)."),
        ("The posterior has two equal humps far apart, and q is one of them. What is the gap?", two_humps,
         "Where q has mass it is twice the posterior: log 2."),
        ("Weights w are 1 or 3, equally likely. What are L_1, L_2 and log p(x)?", staircase,
         "The more weights are averaged inside the logarithm, the less Jensen takes.")],
    "c09": [
        ("The encoder gives the prior for every x. What are the three terms of F37?",
         lambda: ledger([[0.5, 0.5], [0.5, 0.5]], [0.5, 0.5]), "z tells nothing of x, and q(z) is the prior."),
        ("z names each of 100 images, and q(z) is the prior. What are they now?",
         lambda: ledger(np.eye(100), [0.01] * 100),
         "To name one of n equally likely images takes log n nats."),
        ("Two images, a value of z for each; the prior is (9/10, 1/10). What are they?",
         lambda: ledger([[1, 0], [0, 1]], [0.9, 0.1]),
         "z names the image, and q(z) = (1/2, 1/2) is the p of chapter 1.")],
    "c10": [
        ("All codes are multiplied by one invertible matrix. By how much do a least-squares probe's answers change?",
         lambda: change_of_a_probe(lambda x: x @ np.array([[2.0, 1, 0], [0, 1, 3], [1, 0, 1]])),
         "The probe's weights take the inverse."),
        ("A number with q(z | x) = N(0, 1) for every x joins the codes. By how much do the answers change?",
         lambda: change_of_a_probe(lambda x: np.hstack([x, np.zeros((30, 1))])),
         "Its mean is always 0."),
        ("Two classes differ by 1 along a direction of little variance. How far apart does PCA with Z = 1 see them?",
         classes_along_the_small_direction, "PCA keeps what varies most.")],
    "c11": [
        ("The two labels are swapped. What happens to Δ = (1, 1.2)?", lambda: f"It is {mean_vector(swap=True)}.",
         "A difference changes its sign."),
        ("A constant is added to every code. What happens to Δ?",
         lambda: f"It is {mean_vector(lambda codes: codes + 7)}.", "Both means move alike."),
        ("Codes are (large eyes, smile); the large-eyed smile 0.6, the others -0.6, on average. Plain and balanced Δ?",
         lambda: "{} and ({:.1f}, {:.1f}).".format(mean_vector(), *np.round(balanced_difference(*vectors()), 9) + 0.0),
         "F39 takes off what the smile explains.")],
    "c12": [
        ("sigma = exp(v) is written for exp(v / 2), with its right gradient. What does a gradient check say?",
         lambda: f"At v = 0.4: slope {np.exp(0.4):.3f}, by differences "
                 f"{(np.exp(0.4 + 1e-5) - np.exp(0.4 - 1e-5)) / 2e-5:.3f}.",
         "It does not know what was meant. The spread of draws tells."),
        ("The first 1/2 of E7 is forgotten in the worked step. Which parameters' gradients are wrong?",
         forgotten_half, "The encoder's come after v on the way back."),
        ("The gradient is a sum over 64 examples, not a mean. How large is Adam's first step?", adam_steps,
         "Adam divides by the gradient's own size.")],
    "c13": [
        ("At how many of 10,007 residues do (1 + x)³ and 1 + 3x + 2x² + x³ agree?",
         lambda: f"{shared_roots()[1]}.", "They differ by x²."),
        ("Two polynomials of degree 1,000 differ. With what chance does one trial miss it?",
         lambda: f"At most 2 to the power {np.log2(1000) - 119:.0f}.",
         "m / M (F40), and M is above 2 to the power 119."),
        ("A draw's gradient lacks the 1/2 of E7. What does the certificate say?", certified_draw,
         "A missing 1/2 doubles the entry, exactly, in every trial.")]}


def box(chapter):
    """Return the three questions of a chapter as Markdown, with folded answers."""
    return "\n".join(["**Predict, run, explain**\n", *(
        f"<details><summary>{question}</summary>\n\n**{answer()}** {why}\n\n</details>"
        for question, answer, why in BOXES[chapter])])


def tags(text):
    """Return the code's tags and the formulas of the page that they are, on one line."""
    aliases = {}
    for block in re.findall(r"```math\n(.*?)```", text, flags=re.DOTALL):
        formula = re.search(r"\\tag\{(F\d+)\}", block)[1]
        for tag in re.findall(r"\(([ED]\d)\)", block) or [FORMULAS[formula]]:
            if not tag.startswith("T"):
                aliases.setdefault(tag, []).append(formula)
    return "; ".join(f"{tag} {', '.join(aliases[tag])}" for tag in sorted(aliases)) + "."


def write(text):
    """Return the page's text with every block that this script computes, computed anew."""
    blocks = {"shapes": shapes(), "entries": entries(), "example": example(), "tags": tags(text)}
    blocks |= {name: box(name) for name in BOXES}
    for name, block in blocks.items():
        text, found = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)",
                              lambda m, block=block: f"{m[1]}\n{block}\n\n{m[2]}", text, flags=re.DOTALL)
        if found != 1:
            sys.exit(f"{PAGE.name} has {found} places for {name!r}, expected 1. Mark it with <!-- {name} --> and "
                     f"<!-- end of {name} -->.")
    return text


def main():
    """Write the page, or print the chapters that were named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", nargs="*", help=f"whose questions to print: {', '.join(BOXES)}")
    named = parser.parse_args().chapter
    for unknown in set(named) - set(BOXES):
        parser.error(f"no chapter is called {unknown!r}. Chapters are {', '.join(BOXES)}.")
    for question, answer, why in (row for chapter in named for row in BOXES[chapter]):
        print(f"{question}\n    {answer()} {why}\n")
    if not named:
        PAGE.write_text(write(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
