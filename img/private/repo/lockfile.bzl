"""The lockfile of prebuilt tools: which binary there is for which platform, where it is, and the digest that it must have.

docs/guides/toolchains.md has the format. Reading is strict: what is not understood is an error that names the entry and the field.
"""

load("//img/private:platforms.bzl", "CPU", "OS")

visibility(["//img/private/repo", "//tests/..."])

# What a lockfile may name; the first, when it names none.
TOOLS = ["img", "registry", "bes"]

# Hash functions of an integrity → how many characters of base64 their digests have.
_HASHES = {"sha256": 44, "sha384": 64, "sha512": 88}

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

def extension(os):
    """What the names of programs end in."""
    return ".exe" if os == "windows" else ""

def parse_lockfile(text):
    """Reads a lockfile.

    Args:
      text: (str) what is in it.

    Returns:
      (list of dict, None), its entries; or (None, str), what is wrong with it.
    """
    entries = json.decode(text, default = None)
    if type(entries) != "list":
        return None, "want a JSON list of entries"
    seen = {}
    for i, entry in enumerate(entries):
        problem = _problem(entry)
        if not problem:
            key = (tool_of(entry), platform_of(entry))
            problem = "is another one of {} for {}, after entry {}".format(key[0], key[1], seen[key] + 1) if key in seen else None
            seen[key] = i
        if problem:
            return None, "entry {}: {}".format(i + 1, problem)
    return entries, None

def _problem(entry):
    if type(entry) != "dict":
        return "is {}: want an object".format(json.encode(entry))
    for field in entry:
        if field not in _CHECKS:
            return "{}: unknown field: want {}".format(field, ", ".join(_CHECKS))
    for field, check in _CHECKS.items():
        if field not in entry:
            if field == "tool":
                continue
            return "{}: is missing".format(field)
        problem = check(entry[field])
        if problem:
            return "{}: is {}: {}".format(field, json.encode(entry[field]), problem)
    return None

def _check_version(version):
    return None if type(version) == "string" and version else "want a version, such as \"0.4.0\""

def _check_integrity(integrity):
    name, _, digest = integrity.partition("-") if type(integrity) == "string" else ("", "", "")
    if _HASHES.get(name) == len(digest) and not digest.rstrip("=").strip(_BASE64):
        return None
    return "want sha256-, sha384- or sha512- and a digest in base64"

def _check_one_of(names):
    return lambda name: None if name in names else "want one of " + ", ".join(names)

def _check_url_templates(templates):
    if type(templates) != "list" or not templates:
        return "want a list of URLs"
    for template in templates:
        if type(template) != "string" or ":" not in template:
            return "{} is no URL".format(json.encode(template))
        rest = _fill(template, {name: "" for name in _PLACEHOLDERS})
        if "{" in rest or "}" in rest:
            return "{} has a placeholder that is none of {}".format(template, " ".join(["{" + p + "}" for p in _PLACEHOLDERS]))
    return None

_PLACEHOLDERS = ["version", "os", "cpu", "extension"]

# Field → what finds the problem of a value.
_CHECKS = {
    "version": _check_version,
    "integrity": _check_integrity,
    "os": _check_one_of(OS.keys()),
    "cpu": _check_one_of(CPU.keys()),
    "url_templates": _check_url_templates,
    "tool": _check_one_of(TOOLS),
}

def _fill(template, values):
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template

def tool_of(entry):
    """The program that an entry is for."""
    return entry.get("tool", TOOLS[0])

def platform_of(entry):
    """The platform that an entry is for, as people write it."""
    return entry["os"] + "/" + entry["cpu"]

def urls_of(entry):
    """Where the binary of an entry is, in the order to ask."""
    values = {"cpu": entry["cpu"], "extension": extension(entry["os"]), "os": entry["os"], "version": entry["version"]}
    return [_fill(template, values) for template in entry["url_templates"]]
