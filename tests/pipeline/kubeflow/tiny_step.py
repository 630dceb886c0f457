"""A very fast step for the tests of the entrypoint."""

import json
import os

from tfx.dsl.components.base.base_executor import BaseExecutor


class Executor(BaseExecutor):
    """Writes its inputs into its output `model`, and sets properties that the server cannot store."""

    def Do(self, input_dict, output_dict, exec_properties):
        """Records the input's text, types, URIs, and whether the output's folder exists."""
        (examples,), (model,) = input_dict["examples"], output_dict["model"]
        found = {
            "input": [type(examples).__name__, examples.uri, examples.split_names],
            "output": [type(model).__name__, model.uri],
            "outputs": sorted(output_dict),
            "folder": os.path.isdir(model.uri),
            "properties": exec_properties,
        }
        os.makedirs(model.uri, exist_ok=True)
        with open(os.path.join(examples.uri, "text"), encoding="utf-8") as file:
            found["text"] = file.read()
        with open(os.path.join(model.uri, "found.json"), "w", encoding="utf-8") as file:
            json.dump(found, file)
        model.set_string_custom_property("written", f"{model.uri}/found.json")
        model.set_string_custom_property("trained_on", examples.uri)
        model.mlmd_artifact.custom_properties["nothing"].SetInParent()


class Failing(BaseExecutor):
    """Fails with a user's mistake."""

    def Do(self, input_dict, output_dict, exec_properties):
        """Raises."""
        from restem.errors import RestemError

        raise RestemError("the label is missing", where="a/b.png", remedy="Add it")
