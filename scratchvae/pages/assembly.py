"""One self-contained HTML file from a page's sources: `page.html`, its style sheets and modules, and its data.

The sources are a web page as they stand, but for its data, without which its modules stop.  JavaScript modules are
joined in the order in which they import one another, each in a scope of its own; what `backward/state.js` exports is
`modules["backward/state.js"]` in the browser's console.
"""
import json
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
STYLE = re.compile(r'<link rel="stylesheet" href="([^"]+)">')
SCRIPT = re.compile(r'<script type="module" src="([^"]+)"></script>')
DATA = '<script type="application/json" id="data">{}</script>'
IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|function\*?|class) ([\w$]+))", re.MULTILINE)


def build_page(name: str, data: dict) -> str:
    """Return the page whose sources are in the folder `name`, with its data in it.

    Raises ValueError if data holds NaN or infinity.

    Parameters
    ----------
    name : str
        "backward" or "explore".
    data : dict
        What JSON holds; the page reads it from the element with the id "data".

    Examples
    --------
    >>> "</script><b>" in build_page("backward", {"name": "</script><b>"})
    False
    """
    page = FOLDER / name / "page.html"
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    html = page.read_text(encoding="utf-8")
    html = STYLE.sub(lambda link: f"<style>\n{(page.parent / link[1]).read_text(encoding='utf-8')}</style>", html)
    html = SCRIPT.sub(lambda link: f"<script>\n{_joined((page.parent / link[1]).resolve())}</script>", html)
    return html.replace(DATA, DATA.replace("{}", text))


def _joined(entry):
    """Return one script for the module `entry` and all that it imports, directly or not."""
    parts = {}

    def add(path):
        key = path.relative_to(FOLDER).as_posix()
        if key in parts:
            return key
        source = path.read_text(encoding="utf-8")
        body = IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = "
                                        f"modules[\"{add((path.parent / found[2]).resolve())}\"];\n", source)
        parts[key] = (f'modules["{key}"] = (() => {{\n{EXPORT.sub("", body)}'
                      f"return {{ {', '.join(EXPORT.findall(source))} }};\n}})();\n")
        return key

    add(entry)
    return ('"use strict";\nconst modules = {};\n' + "".join(parts.values())).replace("</script", "<\\/script")
