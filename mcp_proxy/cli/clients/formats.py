"""The formats of settings files by name; a receipt names them, so names stay what they are."""

from collections.abc import Mapping

from mcp_proxy.cli.clients.jsonc import Jsonc
from mcp_proxy.cli.clients.lines import DOTENV, YAML_SCALARS, YamlModels
from mcp_proxy.cli.clients.text_edit import Format
from mcp_proxy.cli.clients.toml_keys import Toml

FORMATS: Mapping[str, Format] = {
    "json": Jsonc(),
    "toml": Toml(),
    "dotenv": DOTENV,
    "yaml": YAML_SCALARS,
    "yaml-models": YamlModels(),
}
