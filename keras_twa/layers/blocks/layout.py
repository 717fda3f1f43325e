"""How the weights of Transformer blocks are split over devices."""

import keras

from keras_twa.layers import checks


def get_layout_map(
    device_mesh, model_parallel_dim_name="model", data_parallel_dim_name="batch"
):
    """Returns how `keras.distribution.ModelParallel` is to split the weights of blocks.

    The projections of queries, keys, values and outputs are split over the heads, and
    the feed-forward network over its width. Each is also split over the features along
    the other axis of the mesh. All other weights are replicated on every device.

    The heads and the width of the feed-forward network must be divisible by the size of
    the mesh along `model_parallel_dim_name`, and the features by the size along
    `data_parallel_dim_name`. An attention that is passed as a layer needs a name that
    ends in "attention", or in "attention" and a number, as in Keras's default names.

    Args:
        device_mesh: A `keras.distribution.DeviceMesh` with two axes.
        model_parallel_dim_name: The axis to split heads along. Defaults to "model".
        data_parallel_dim_name: The axis that batches are split along. Defaults to
            "batch".

    Returns:
        A `keras.distribution.LayoutMap`.

    Raises:
        ValueError: If the mesh has no axis of that name.

    Example:

    >>> import keras
    >>> from keras_twa.layers import get_layout_map
    >>> mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    >>> layout = get_layout_map(mesh)["block_0/attention/query/kernel"]
    >>> layout.axes
    ('batch', 'model', None)

    Reference:
        [Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053)
    """
    model, data = model_parallel_dim_name, data_parallel_dim_name
    checks.one_of(
        tuple(device_mesh.axis_names),
        model_parallel_dim_name=model,
        data_parallel_dim_name=data,
    )
    attention, dense = r".*attention(_\d+)?/", r".*feed_forward/"
    layouts = {
        # (features, heads, width of a head)
        rf"{attention}(query|key|value|key_up|value_up)/kernel": (data, model, None),
        rf"{attention}(query|key|value)/bias": (model, None),
        rf"{attention}attention_output/kernel": (model, None, data),
        rf"{dense}(expand|gate)/kernel": (data, model),
        rf"{dense}(expand|gate)/bias": (model,),
        rf"{dense}project/kernel": (model, data),
    }
    layout_map = keras.distribution.LayoutMap(device_mesh)
    for path, axes in layouts.items():
        layout_map[path] = axes
    return layout_map
