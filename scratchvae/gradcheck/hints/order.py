"""What the order of arrays, their roles and their shapes say about a wrong gradient."""
import itertools
import math
import re

from ...errors import ConfigurationError

ROLES = ("mu", "logvar", "trunk", "order")
NAMES = {"mu": ("mu", "mean"), "logvar": ("logvar", "log_var", "lv", "logsigma", "log_sigma")}


def require_roles(roles: dict | None, arrays: dict) -> dict:
    """Return roles as {"mu": [names], "logvar": [names], "trunk": [names], "order": [names]}, as far as given."""
    if roles is not None and not isinstance(roles, dict):
        raise ConfigurationError(f"roles is {roles!r}; expected a dict with some of {', '.join(ROLES)}. Pass for "
                                 'example {"mu": "b_mu"}.')
    found = {}
    for role, names in (roles or {}).items():
        if not isinstance(names, (str, list, tuple)):
            raise ConfigurationError(f"roles[{role!r}] is {names!r}; expected the name of an array, or a list of "
                                     "names. Pass one as check_gradient names it.")
        found[role] = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in found[role] if name not in arrays]
        if role not in ROLES or unknown:
            raise ConfigurationError(f"roles has {unknown[0] if unknown else role}; expected the roles "
                                     f"{', '.join(ROLES)} and the arrays {', '.join(arrays)}. Use these names.")
    return found


HEAD = ("look at sigma = exp(logvar / 2) and its 1/2, at eps, which must be that of the forward, and at the KL's "
        "(sigma^2 - 1) / 2")


def _by_name(role, names):
    """Return the names of which a word ends with the role's, as in fc_mu.weight, and bmu, but not in multiplier."""
    return [name for name in names if re.search(rf"({'|'.join(NAMES[role])})[wb]?(?![a-z])", name.lower())]


def _layers(shapes):
    """Return {matrix: (sides, its possible biases)} of matrices with two different sides, both above 1."""
    lengths = {name: math.prod(shape) for name, shape in shapes.items() if max(shape, default=1) == math.prod(shape)}
    return {name: (shape, [bias for bias, length in lengths.items() if length in shape])
            for name, shape in shapes.items() if len(shape) == 2 and 1 < min(shape) < max(shape)}


def _twin_hints(ok, shapes):
    """Return hints for a matrix and its bias that are wrong where others of the same two shapes are right."""
    layers, hints = _layers(shapes), {}
    for wrong, right in itertools.permutations(layers, 2):
        if ok[wrong] or not ok[right] or shapes[wrong] != shapes[right]:
            continue
        biases = [(a, b) for a, b in itertools.permutations(layers[wrong][1], 2)
                  if not ok[a] and ok[b] and shapes[a] == shapes[b]]
        if len(biases) == 1:
            hints.update(dict.fromkeys((wrong, biases[0][0]), (
                f"{wrong} and {biases[0][0]} are wrong where {right} and {biases[0][1]} of the same shapes are right: "
                f"if these are the heads of logvar and mu, {HEAD}; if of mu and logvar, at the KL's mu")))
    return hints


def _trunk(ok, shapes):
    """Return (a matrix and its bias, which alone are wrong; the two heads that take what they make), or ([], [])."""
    layers, wrong = _layers(shapes), [name for name in ok if not ok[name]]
    for matrix, bias in itertools.permutations(wrong, 2) if len(wrong) == 2 else ():
        width = math.prod(shapes[bias])
        if matrix not in layers or bias not in layers[matrix][1]:
            continue
        for heads in itertools.combinations([name for name in layers if ok[name] and width in shapes[name]], 2):
            if shapes[heads[0]] == shapes[heads[1]] and sorted(shapes[heads[0]]) != sorted(shapes[matrix]):
                return wrong, list(heads)                         # the decoder's first layer has the sides of a head
    return [], []


def _trunk_hints(ok, trunk, heads):
    """Return hints for what is wrong in the trunk where both heads are right."""
    wrong = [name for name in ok if not ok[name]]
    if len(wrong) < 2 or not heads or not set(wrong) <= set(trunk) or not all(ok[name] for name in heads):
        return {}
    return dict.fromkeys(wrong, f"{' and '.join(wrong)} are wrong, and what takes their outputs ({', '.join(heads)}) "
                         "is right: look at act', and at the sum of what each of these sends back")


def order_hints(checks: list, roles: dict, shapes: dict) -> dict:
    """Return {name: hint} for arrays that are wrong where others, nearer to the loss or beside them, are right.

    Without roles they are guessed from names and `shapes`, {name: shape}.
    """
    ok = {check.name: check.ok or not check.judged for check in checks}
    acquitted = {check.name for check in checks if check.ok and check.analytic}        # zeros acquit no cotangent
    mu, logvar = (roles.get(role) or _by_name(role, ok) for role in ("mu", "logvar"))
    hints = {}
    for wrong, right, why in ((logvar, mu, f"mu is right and logvar is not: {HEAD}"),
                              (mu, logvar, "logvar is right and mu is not: look at the KL's mu, and at what adds to "
                                           "d_z")):
        # A matrix and its bias share what arrives: if one of them is right, and all before, it arrives as it should.
        arrives = acquitted & set(wrong) and all(ok[name] for name in ok if name not in wrong)
        if wrong and right and not set(wrong) & set(right) and all(ok[name] for name in right) and not arrives:
            hints.update({name: why for name in wrong if not ok[name]})
    order = roles.get("order", [])
    last = max((k for k, name in enumerate(order) if not ok[name]), default=None)
    if last is not None and order[last + 1:] and not hints:
        hints[order[last]] = (f"on the way back {order[last]} is the first that is wrong: look at it, and at what "
                              f"comes to it from {order[last + 1]}")
    if not hints and not order and all(check.judged for check in checks):              # a guess takes all verdicts
        known = "trunk" in roles
        hints = _trunk_hints(ok, *((roles["trunk"], mu + logvar) if known else _trunk(ok, shapes)))
        hints = hints or ({} if known else _twin_hints(ok, shapes))
    return hints
