"""What the order of arrays and their roles say about a wrong gradient."""

from ...errors import ConfigurationError

ROLES = ("mu", "logvar", "order")
NAMES = {"mu": ("mu", "mean"), "logvar": ("logvar", "log_var", "lv", "logsigma", "log_sigma")}


def require_roles(roles: dict | None, arrays: dict) -> dict:
    """Return roles as {"mu": [names], "logvar": [names], "order": [names]}; what is not given is missing."""
    if roles is not None and not isinstance(roles, dict):
        raise ConfigurationError(f"roles is {roles!r}; expected a dict with some of {', '.join(ROLES)}. Pass for "
                                 "example "
                                 '{"mu": "b_mu"}.')
    for role, names in (roles or {}).items():
        if not isinstance(names, (str, list, tuple)):
            raise ConfigurationError(f"roles[{role!r}] is {names!r}; expected the name of an array, or a list of "
                                     "names. Pass one as check_gradient names it.")
    found = {role: [names] if isinstance(names, str) else list(names) for role, names in (roles or {}).items()}
    for role, names in found.items():
        unknown = [name for name in names if name not in arrays]
        if role not in ROLES or unknown:
            raise ConfigurationError(f"roles has {unknown[0] if unknown else role}; expected the roles "
                                     f"{', '.join(ROLES)} and the arrays {', '.join(arrays)}. Use these names.")
    return found


def _by_name(role, names):
    return [name for name in names if any(part in name.lower() for part in NAMES[role])]


def order_hints(checks: list, roles: dict) -> dict:
    """Return {name: hint} for arrays that are wrong where others, nearer to the loss or beside them, are right."""
    ok = {check.name: check.ok for check in checks}
    mu, logvar = (roles.get(role) or _by_name(role, ok) for role in ("mu", "logvar"))
    hints = {}
    for wrong, right, why in ((logvar, mu, "mu is right and logvar is not: look at the 1/2 of sigma = exp(logvar / "
                               "2), at eps, and at the KL's (sigma^2 - 1) / 2"),
                              (mu, logvar, "logvar is right and mu is not: look at the KL's mu, and at what adds to "
                                           "d_z")):
        if wrong and right and not set(wrong) & set(right) and all(ok[name] for name in right):
            hints.update({name: why for name in wrong if not ok[name]})
    order = roles.get("order", [])
    last = max((k for k, name in enumerate(order) if not ok[name]), default=None)
    if last is not None and order[last + 1:] and not hints and all(ok[name] for name in order[last + 1:]):
        hints[order[last]] = (f"on the way back {order[last]} is the first that is wrong: look at it, and at what "
                              f"comes to it from {order[last + 1]}")
    return hints
