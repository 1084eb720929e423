"""ImageNet weights of ResNet-18 and ResNet-34 in torchvision's layout, for a start of training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mrc_core.model.adapters.reference_names import resnet_pairs
from mrc_core.model.adapters.state_dict import Move, WeightsError, adapt
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.network import MRCNet

WIDTHS = {"stem_channels": 64, "layer_channels": (64, 128, 256, 512)}

_IGNORABLE = (
    (r"fc\.(weight|bias)", "the classifier of ImageNet's classes"),
    (r".*\.(running_mean|running_var|num_batches_tracked)", "no normalisation here keeps running statistics"),
)
_RESET = (
    (
        r"(.*\.)?(bn\d|downsample\.1)\.(weight|bias)",
        "scale and shift of a batch norm, which fit no group norm: those start at 1 and 0",
    ),
)


def load_imagenet_resnet(network: MRCNet, state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """Puts torchvision's weights into the network's backbone, in place.

    The first convolution gets a fourth channel, the box map's, of zeros: at first the network sees what ImageNet's
    did. torchvision's input is RGB, as ours, less a mean and over a deviation. Folding these into the convolution would
    leave a constant in each of its channels, which the group norm, two channels a group, does not take away, and
    another one at the border; so the network scales its input, `input_scaling: imagenet` in its configuration.

    With `norm: batch` or `crop` the norms' scales and shifts are taken over. With `norm: group` they are not: channels
    are normalised together with others there, and scales that were learnt for each alone have lost their meaning.

    Args:
        network: a new one, of torchvision's widths in the backbone, which are the paper's; nothing else in it changes.
        state_dict: that of `torchvision.models.resnet34` or `resnet18`, whichever depth the network has.

    Returns:
        The tensors that were left out, with the reason.

    Raises:
        WeightsError: another backbone or input scaling; a tensor is missing, unknown or of another shape.
    """
    config = network.config
    check_imagenet_fits(config, state_dict)
    norms = config.norm != "group"
    parameters = dict(network.backbone.named_parameters(prefix="backbone"))
    ours = {
        name: p.shape for name, p in parameters.items() if norms or p.ndim == 4
    }  # all, or convolutions alone
    moves = [Move("backbone.stem.0.weight", "conv1.weight", (config.stem_channels, 3, 7, 7), _with_box_map)]
    moves += [Move(a, b) for a, b in _pairs(config) if a in ours]
    adapted = adapt(state_dict, moves, ours, _IGNORABLE + (() if norms else _RESET))
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name in adapted.tensors:
                parameter.copy_(adapted.tensors[name])
            else:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
    return adapted.ignored


def check_imagenet_fits(config: MRCNetConfig, state_dict: Mapping[str, Tensor]) -> None:
    """Checks the sizes of the backbone, before a network is built.

    Raises:
        WeightsError: the weights are of no ResNet-18 or 34, or the network has another depth, other widths or another
            input scaling.
    """
    depth = _depth(state_dict)
    for key, value in {"backbone": depth, **WIDTHS, "input_scaling": "imagenet"}.items():
        if getattr(config, key) != value:
            widths = " (flavour: paper has torchvision's widths, small has not)" if key in WIDTHS else ""
            raise WeightsError(
                f"ImageNet's ResNet-{depth} needs a network with {key}: {value}, this one has {getattr(config, key)}; "
                f"set it in the section `model` of the configuration{widths}"
            )


def _depth(state_dict: Mapping[str, Tensor]) -> int:
    """18 or 34, by the number of blocks."""
    if "conv1.weight" not in state_dict or "layer1.0.conv1.weight" not in state_dict:
        raise WeightsError(
            "these are not torchvision's weights of a ResNet: there is no conv1 or layer1.0.conv1"
        )
    if "layer1.0.conv3.weight" in state_dict:
        raise WeightsError("these are weights of a ResNet-50 or deeper: needed is resnet18 or resnet34")
    return 34 if "layer1.2.conv1.weight" in state_dict else 18


def _pairs(config: MRCNetConfig) -> list[tuple[str, str]]:
    return [
        ("backbone.stem.1.weight", "bn1.weight"),
        ("backbone.stem.1.bias", "bn1.bias"),
        *resnet_pairs(config, "backbone.layer{}", "layer{}"),
    ]


def _with_box_map(rgb: Tensor) -> Tensor:
    return torch.cat([rgb, torch.zeros_like(rgb[:, :1])], dim=1)
