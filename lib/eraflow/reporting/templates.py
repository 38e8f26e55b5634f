"""The templates of pages, which come with the package."""

import jinja2


def templates() -> jinja2.Environment:
    """What renders `assets/*.jinja`: text is escaped, and a name that is not given is an error."""
    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.PackageLoader("eraflow.reporting", "assets"),
    )
