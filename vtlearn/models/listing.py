"""The catalogue as rows for a program or a person: every preset with what it costs."""

from __future__ import annotations

from typing import Any

from vtlearn.models.catalogue import model_config, model_names, preset
from vtlearn.models.cost import input_shape, model_cost


def catalogue_rows() -> list[dict[str, Any]]:
    """One row a preset: ``name, parameters, multiply_adds, num_frames, image_size, source``.

    Image models have ``num_frames`` None. Counting happens on the meta device: no weights are made.
    """
    rows = []
    for name in model_names():
        config = model_config(name)
        cost, shape = model_cost(config), input_shape(config)
        rows.append(
            {
                "name": name,
                "parameters": cost.parameters,
                "multiply_adds": cost.multiply_adds,
                "num_frames": shape[1] if len(shape) == 5 else None,
                "image_size": shape[-1],
                "source": preset(name).source,
            }
        )
    return rows
