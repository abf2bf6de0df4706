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
         lambda: f"KL(p ‖ q) = {kl(P, Q):.3f} nats, KL(q ‖ p) = {kl(Q, P):.3f} nats.",
         "p meets the outcome that q finds unlikely half of the time; q itself meets it in one case of ten."),
        ("q = (1, 0), and p is still (1/2, 1/2). Which of the two is finite?",
         lambda: f"KL(p ‖ q) = {kl(P, Discrete([1, 0]))}, KL(q ‖ p) = {kl(Discrete([1, 0]), P):.3f} nats.",
         "p needs an outcome for which q has no code at all; q only wastes what p spends on outcomes that never come."),
        ("Two independent messages instead of one, of the first p and q. What is KL(p ‖ q) of the pair?",
         lambda: f"{kl(Discrete([0.25] * 4), Discrete([0.81, 0.09, 0.09, 0.01])) / kl(P, Q):.0f} times as much.",
         "The logarithm of a product is a sum, so independent parts add. That is why F7 is a sum over j.")],
    "c02": [
        ("The encoder multiplies each code by 10, and the decoder first divides by 10. What happens to the loss?",
         lambda: f"It changes by {abs(np.tanh(10 * 0.7 / 10) - np.tanh(0.7)):.3f}.",
         "This is F6: the loss sees what the decoder makes of a code, never the code."),
        ("The data have independent directions of variance 9, 4 and 1. What is the least loss of a linear pair with "
         "two latents?", lambda: f"{np.sort(np.linalg.eigvalsh(np.diag([9.0, 4.0, 1.0])))[:-2].sum():.3f}.",
         "The best linear pair is PCA. It keeps the two largest directions and loses the third."),
        ("Codes are spread like N(0, 16), and you draw from N(0, 1). How far is KL(codes ‖ prior) from 0?",
         lambda: f"{kl(gaussian(0.0, 16.0), gaussian(0.0, 1.0)):.3f} nats.",
         "F7 with mu = 0: half of 16 - 1 - log 16. Nothing in the autoencoder's loss makes it smaller.")],
    "c03": [
        ("eps = 0 for every draw. What is left of d_v?", without_noise,
         "The draw's way to v goes through eps (E7), and is closed. The KL's way is open."),
        ("f(z) = z², mu = 1, sigma = 2. What are the two slopes of E f(z) in F11?",
         lambda: f"{WEIGHTS @ (2 * (1 + 2 * NODES)):.3f} by mu and "
                 f"{WEIGHTS @ (2 * (1 + 2 * NODES) * NODES):.3f} by v.",
         "E z² = mu² + sigma², whose slopes are 2 mu and, as sigma² = e^v, sigma² itself."),
        ("f(z) = 100, whatever z is, and sigma = 1. What variance have the two estimates of the slope by mu?",
         constant_cost,
         "The slope of a constant is 0 for every draw. The score function has 100 eps instead: 0 only on average. "
         "A baseline of 100 mends it.")],
    "c04": [
        ("Halve B: keep only the first example of the worked step. Which of its numbers change?", half_a_batch,
         "What is computed for an example does not know of the others. The mean over B does: each has twice the say."),
        ("K = 4 instead of 2, by using each draw twice. Which numbers change?", each_draw_twice,
         "Each row of d_l has half the weight, there are twice as many, and E6 and D3 add them up."),
        ("How many entries of d_l are positive where the pixel is 1, and where it is 0?", signs,
         "d_l is p - x over B K, and p lies between 0 and 1: a white pixel pulls its logit up, a black one down.")],
    "c05": [
        ("mu = 0 and v = 0. What is the KL, and what are its slopes (F9)?",
         slopes_of_kl, "q is the prior there, the minimum of the KL."),
        ("v = -2. What is sigma, and what is it for someone who writes exp(v)?",
         lambda: f"{np.exp(-1.0):.3f}, and {np.exp(-2.0):.3f}.", "v is the logarithm of sigma², so sigma needs the "
         "half."),
        ("A decoder that has learned nothing puts out the logit 0 everywhere. What do 784 pixels cost?",
         lambda: f"{784 * np.logaddexp(0, 0.0):.1f} nats.",
         "F16 at l = 0 is log 2, whatever x is. An untrained model starts near this number.")],
    "c06": [
        ("dec(z) = z, squared error, one latent. Which sigma² is best for lambda = 0, 2 and 200?",
         best_variances,
         "F14 has sigma² + lambda (sigma² - 1 - log sigma²) / 2 in it. Without the KL noise is only harm; "
         "with much of it q becomes the prior."),
        ("sigma_x falls from 0.3 to 0.15. What happens to lambda?",
         lambda: f"{2 * 0.3 ** 2:.3f} becomes {2 * 0.15 ** 2:.3f}.",
         "lambda = 2 sigma_x² (F30): to want pixels twice as precise makes the KL four times cheaper."),
        ("Someone uses the mean squared error over 784 pixels in [0, 1], with lambda = 1. Which sigma_x is this?",
         lambda: f"{np.sqrt(784 / 2):.1f}.",
         "lambda = 2 sigma_x² / D: a noise 20 times as wide as the pixels' range, so the codes tell next to nothing.")],
    "c07": [
        ("In one dimension half of the prior's draws count. How many of 10,000 count in ten such dimensions?",
         lambda: f"{10_000 * 0.5 ** 10:.1f}.", "The share is a product of one factor a dimension (F26)."),
        ("Draws come from a Gaussian that is 1.5 times as wide as the posterior, then 0.6 times. What share counts?",
         lambda: f"{share(1.5):.2f}, and {share(0.6):.2f}.",
         "Where q is too narrow, rare draws have weights without bound, E[w²] is infinite from 0.71 times down, "
         "and no number of draws is enough. Too wide only wastes."),
        ("q is the true posterior. By how much do the log weights of different draws differ?", exact_weights,
         "p(x | z) p(z) / p(z | x) is p(x), whatever z is: one draw is enough.")],
    "c08": [
        ("x given z is N(z, 1), x = 1, and q is the prior. How far is the ELBO below log p(x)?",
         prior_for_posterior,
         "The posterior is N(1/2, 1/2), and the gap is KL(q ‖ posterior) (F31)."),
        ("The posterior has two equal humps far apart, and q is one of them. What is the gap?", two_humps,
         "Where q has mass it is twice the posterior, so log(q / posterior) is log 2."),
        ("Weights w are 1 or 3, equally likely. What are L_1, L_2 and log p(x)?", staircase,
         "The more weights are averaged inside the logarithm, the less they vary, and the less Jensen takes (F32).")],
    "c09": [
        ("The encoder gives the prior for every x. What are the KL term and its two parts in F37?",
         lambda: ledger([[0.5, 0.5], [0.5, 0.5]], [0.5, 0.5]), "z tells nothing of x, and q(z) is the prior: perfect "
         "draws of z, and useless ones."),
        ("z names each of 100 images, and q(z) is the prior. What are the three now?",
         lambda: ledger(np.eye(100), [0.01] * 100),
         "To name one of n equally likely images takes log n nats, never more."),
        ("Two images, two values of z, one for each; the prior is (9/10, 1/10). What is F37?",
         lambda: ledger([[1, 0], [0, 1]], [0.9, 0.1]),
         "z names the image, log 2, and q(z) = (1/2, 1/2) is not the prior: chapter 1's first number.")],
    "c10": [
        ("All codes are multiplied by one invertible matrix. By how much do a least-squares probe's answers change?",
         lambda: change_of_a_probe(lambda x: x @ np.array([[2.0, 1, 0], [0, 1, 3], [1, 0, 1]])),
         "The probe's weights take the inverse. A linear probe asks what lies in a straight line, not where."),
        ("A latent has q(z | x) = N(0, 1) for every x. Its mean joins the other codes. By how much do the answers "
         "change?",
         lambda: change_of_a_probe(lambda x: np.hstack([x, np.zeros((30, 1))])),
         "A latent that follows the prior for each x is unused: it costs no KL, and is one number less."),
        ("Two classes differ by 1 along a direction of little variance. How far apart are they in the first principal "
         "component?", classes_along_the_small_direction,
         "PCA keeps what varies most, and need not keep what tells classes apart.")],
    "c11": [
        ("The two labels are swapped. What happens to Δ = (1, 1.2)?", lambda: f"It is {mean_vector(swap=True)}.",
         "A difference changes its sign, and the eyes become smaller."),
        ("A constant is added to every code. What happens to Δ?",
         lambda: f"It is {mean_vector(lambda codes: codes + 7)}.", "Both means move alike."),
        ("Codes are (large eyes, smile); the large-eyed smile 0.6, the others -0.6, on average. Plain and balanced Δ?",
         lambda: "{} and ({:.1f}, {:.1f}).".format(mean_vector(), *np.round(balanced_difference(*vectors()), 9) + 0.0),
         "The plain difference has the smile in it; F39 takes off what the smile explains.")],
    "c12": [
        ("sigma = exp(v) is written for exp(v / 2), and the gradient is right for that. What does a gradient check "
         "say?",
         lambda: f"At v = 0.4: slope {np.exp(0.4):.3f}, by differences "
                 f"{(np.exp(0.4 + 1e-5) - np.exp(0.4 - 1e-5)) / 2e-5:.3f}.",
         "Nothing. It compares the gradient with the code, and not with what was meant: draw, and measure the spread."),
        ("The 1/2 of E7's first term is forgotten in the worked step. Which parameters get a wrong gradient?",
         forgotten_half,
         "The way back meets the decoder's parameters before it comes to v, and all of the encoder's after it."),
        ("The gradient is summed over 64 examples where a mean was meant, and Adam trains. How large is its first "
         "step?",
         adam_steps, "Adam divides by the gradient's own size, so a wrong factor on the whole leaves no trace.")],
    "c13": [
        ("At how many of 10,007 residues do (1 + x)³ and 1 + 3x + 2x² + x³ agree?",
         lambda: f"{shared_roots()[1]}.", "They differ by x², which is 0 at x = 0 alone: at most the degree (F40)."),
        ("Two polynomials of degree 1,000 differ. With what chance does one trial modulo a prime of 120 bits miss it?",
         lambda: f"At most 2 to the power {np.log2(1000) - 119:.0f}.",
         "m / p for degree m (F40), and such a prime is above 2 to the power 119."),
        ("A draw's gradient lacks the 1/2 of E7. What does the certificate say?", certified_draw,
         "A missing 1/2 makes the entry twice what it should be, exactly, in every trial.")]}


def box(chapter):
    """Return the three questions of a chapter as Markdown, with folded answers."""
    head = (f"**Predict, run, explain.** Say a number and a reason first; `python -m demos.predictions {chapter}` "
            "computes the answers.\n")
    return "\n".join([head, *(f"<details><summary>{question}</summary>\n\n**{answer()}** {why}\n\n</details>"
                              for question, answer, why in BOXES[chapter])])


def tags():
    """Return a table of the code's tags and the formulas that they are."""
    aliases = {}
    for formula, tag in FORMULAS.items():
        if not tag.startswith("T"):
            aliases.setdefault(tag, []).append(formula)
    return "\n".join(["| code | here |", "| --- | --- |",
                      *(f"| {tag} | {', '.join(aliases[tag])} |" for tag in sorted(aliases))])


def write(text):
    """Return the page's text with every block that this script computes, computed anew."""
    blocks = {"shapes": shapes(), "entries": entries(), "example": example(), "tags": tags()}
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
