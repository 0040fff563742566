"""A greeting, which a file says."""

import pathlib

import yaml


def greeting():
    """Returns the text of greeting.yaml, which is beside this file in the runfiles."""
    text = (pathlib.Path(__file__).parent / "greeting.yaml").read_text()
    return "{greeting} from {language}".format(**yaml.safe_load(text))
