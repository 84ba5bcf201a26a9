"""How much memory a training step will need: counted on tensors without contents, before anything runs."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from vtlearn.attention.kernel import WrappedKernel, exchanged_kernels
from vtlearn.errors import require_one_of
from vtlearn.layers.longformer import LongformerSelfAttention
from vtlearn.models.catalogue import build_model
from vtlearn.models.cost import input_shape
from vtlearn.models.vtn import FrameIndexPositions
from vtlearn.runtime import autocast

OPTIMISER_NUMBERS = {"adamw": 2, "sgd": 1}
"""Numbers that an optimiser keeps for each weight: AdamW two moments, SGD with momentum one."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step.

    Attributes:
        weights, gradients, optimiser: one number, one number, and the optimiser's own for each weight.
        inputs: the clips.
        saved: what the forward pass keeps for the backward pass.
        activations: the most that is held besides weights, gradients and optimiser at any moment of forward
            and backward pass, the clips included.
    """

    weights: int
    gradients: int
    optimiser: int
    inputs: int
    saved: int
    activations: int

    @property
    def peak(self) -> int:
        """The most held at once: in the backward pass, where gradients come as activations go."""
        return self.weights + self.gradients + self.optimiser + self.activations

    def told(self) -> str:
        """One line a part, in MiB."""
        rows = [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimiser", self.optimiser),
            ("activations", self.activations),
            ("together", self.peak),
        ]
        return "\n".join(f"{name:<12}{size / 2**20:>11.0f} MiB" for name, size in rows)


class _Held(TorchDispatchMode):
    """Counts the bytes of all tensors made while it is open and not yet let go of."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: Any = WeakIdKeyDictionary()
        self.now = self.most = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.see(leaf)
        return out

    def see(self, tensor: Tensor) -> None:
        """Note the storage of a tensor, and when it goes."""
        storage = tensor.untyped_storage()
        if storage in self.alive:
            return
        size = storage.nbytes()
        self.alive[storage] = size
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.now -= size


class _KeepInputs(torch.autograd.Function):
    """Computes nothing; keeps its inputs and its output for the backward pass."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        out = torch.empty_like(inputs[0])
        ctx.save_for_backward(*inputs, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_out: Tensor) -> Any:
        *inputs, _ = ctx.saved_tensors
        return tuple(torch.empty_like(each) for each in inputs)


class _WindowKept(WrappedKernel):
    """What windowed attention keeps, without the computation, which looks at its masks."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **masks: Any) -> Tensor:
        return _KeepInputs.apply(q, k, v, *(masks.get("global_projections") or ()))


class _FirstRows(nn.Module):
    """A table of positions by frame index that does not look at the index, which has no contents here."""

    def __init__(self, positions: FrameIndexPositions) -> None:
        super().__init__()
        self.positions = positions

    def class_token(self) -> Tensor:
        """The class token's own row."""
        return self.positions.class_token()

    def forward(self, frame_index: Tensor) -> Tensor:
        return self.positions.table[torch.zeros_like(frame_index)]


@contextlib.contextmanager
def _saved_bytes(skip: set[int]) -> Iterator[Callable[[], int]]:
    """Bytes of the storages that the forward pass keeps for the backward pass, parameters left out."""
    kept: dict[int, tuple[Any, int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in skip:
            kept[storage._cdata] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: sum(size for _, size in kept.values())


def training_memory(
    config: Any,
    batch_size: int,
    *,
    num_frames: int | None = None,
    precision: str = "float32",
    optimizer: str = "adamw",
    device: str = "cpu",
) -> TrainingMemory:
    """What one training step of a model of this configuration will hold, counted without holding it.

    The step runs on tensors that have shapes and no contents, as they would be on ``device``: every
    storage counts from when it is made until it is let go of, as with an allocator that wastes nothing.
    What the libraries under torch keep for themselves is not in it.

    Args:
        config: a configuration of :mod:`vtlearn.models`.
        batch_size: clips that go through the model together (of a process, of a part).
        num_frames: frames of the clip, where not the configured number.
        precision: "float32", "bfloat16" or "float16".
        optimizer: one of :data:`OPTIMISER_NUMBERS`.
        device: "cpu" or "cuda"; decides which attention is chosen. CUDA needs no GPU to be counted for, save
            where torch was built without it.

    >>> from vtlearn.models import model_config
    >>> one = training_memory(model_config("vivit_samples"), 1)
    >>> two = training_memory(model_config("vivit_samples"), 2)
    >>> 1.5 < two.saved / one.saved < 2.5, one.weights == two.weights
    (True, True)
    """
    require_one_of("optimizer", optimizer, OPTIMISER_NUMBERS)
    place = torch.device(device)
    with torch.device("meta"):
        model: nn.Module = build_model(config).train()
    for module in list(model.modules()):
        positions = getattr(module, "positions", None)
        if isinstance(positions, FrameIndexPositions):
            module.positions = _FirstRows(positions)
    windows = nn.ModuleList(each for each in model.modules() if isinstance(each, LongformerSelfAttention))
    with (
        exchanged_kernels(windows, lambda _, kernel: _WindowKept(kernel)),
        FakeTensorMode(allow_non_fake_inputs=True),
        place,
    ):
        model.to_empty(device=place)
        shape = (batch_size, *input_shape(config, num_frames)[1:])
        clips = torch.empty(shape, device=place)
        labels = torch.zeros(batch_size, dtype=torch.int64, device=place)
        parameters = [each for each in model.parameters() if each.requires_grad]
        own = {each.untyped_storage()._cdata for each in [*model.parameters(), *model.buffers()]}
        weights = sum(each.numel() * each.element_size() for each in model.parameters())
        gradients = sum(each.numel() * each.element_size() for each in parameters)
        inputs = clips.numel() * clips.element_size()
        with _Held() as held:
            for each in [*model.parameters(), *model.buffers()]:
                held.see(each)
            base = held.now
            with _saved_bytes(own) as saved, autocast(place, precision):
                loss = nn.functional.cross_entropy(model(clips).float(), labels)
            kept = saved()
            forward = held.most - base
            held.most = held.now
            loss.backward()
            # gradients come one by one while activations go: the worst moment, gradients taken off again
            backward = max(held.most - base - gradients, 0)
        activations = inputs + max(forward, backward)
    optimiser = gradients * OPTIMISER_NUMBERS[optimizer]
    return TrainingMemory(weights, gradients, optimiser, inputs, kept, activations)
