"""How fast a model answers on a device, where no earlier run tells: an estimate from its size and published rates."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.config import Settings
from stackbench.engine.planner.fleet import Fleet
from stackbench.engine.planner.profiles import Profile
from stackbench.errors import UsageError
from stackbench.models import parse_model_name
from stackbench.models.memory import OVERHEAD_BYTES, USABLE, entry_of, kv_bytes_per_token, weight_bytes

__all__ = ["ENGINE_REQUESTS_PER_S", "ENGINE_TURNS_PER_S", "ServedModel", "served_model"]

ENGINE_REQUESTS_PER_S = 1000.0
"""Of one engine process on one core: docs/performance.md, `perf.endpoint` (1,398 measured)."""
ENGINE_TURNS_PER_S = 200.0
"""Turns of agents in one engine process: docs/performance.md, `perf.tool_use` (4.35 ms each)."""

OF_PEAK = 0.4
"""Share of a device's arithmetic that serving reaches."""
OF_BANDWIDTH = 0.6
USUAL_BATCH = {"vllm": 64, "hf": 64, "gguf": 8, "openai": 32}
ENDPOINT_TOKENS_PER_S = 50.0
"""Of one stream of an endpoint that nothing is known of."""
ENDPOINT_PROMPT_TOKENS_PER_S = 5000.0
LOAD_BYTES_PER_S = 1e9
SERVER_START_S = {"vllm": 45.0, "hf": 10.0, "gguf": 5.0}
USUAL_PARAMETERS = 7_000_000_000
ROOM_FOR_TOKENS = 32768


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as the plan sees it."""

    kind: str
    parameters: int
    """0 where nothing is computed here (an endpoint, a replay, oracle)."""
    weight_bytes: int
    kv_bytes: int
    """Of one token."""
    gpus: int
    """Of one server; 0: none."""
    servers: int
    batch: int
    """Requests that one server works on at once."""
    note: str = ""

    @property
    def start_s(self) -> float:
        """From its start to its first answer."""
        return SERVER_START_S.get(self.kind, 0.0) + self.weight_bytes / LOAD_BYTES_PER_S

    def request_seconds(self, profile: Profile, fleet: Fleet, at_once: int) -> tuple[float, float]:
        """Seconds of one server for one attempt among so many, and from the attempt's start to its end."""
        if self.kind in ("oracle", "null", "replay"):
            return 0.0, 0.0
        prompt, completion = profile.prompt_tokens, profile.completion_tokens
        if not self.parameters:
            alone = prompt / ENDPOINT_PROMPT_TOKENS_PER_S + completion / ENDPOINT_TOKENS_PER_S
            return alone / min(self.batch, at_once), alone
        devices = max(1, self.gpus)
        flops, bandwidth = devices * fleet.device.flops * OF_PEAK, devices * fleet.device.bytes_per_s * OF_BANDWIDTH
        context = min(profile.context_tokens, prompt // max(1, profile.turns) + completion)
        batch = min(self.batch, max(1, at_once), self._fitting(fleet, context))
        reading = prompt * 2 * self.parameters / flops
        step = max(self.weight_bytes / bandwidth, batch * 2 * self.parameters / flops)
        step += batch * context * self.kv_bytes / bandwidth
        return reading + completion * step / batch, reading + completion * step

    def _fitting(self, fleet: Fleet, context: int) -> int:
        """Requests of so many tokens whose keys and values fit beside the weights."""
        memory = self.gpus * fleet.gpu_bytes * USABLE if self.gpus else fleet.memory_bytes * 0.5
        room = memory - self.weight_bytes - OVERHEAD_BYTES * max(1, self.gpus)
        return max(1, int(room // max(1, context * self.kv_bytes)))


def served_model(settings: Settings, fleet: Fleet) -> ServedModel:
    """The model of the settings on these machines. Raises UsageError for a name that means nothing."""
    parsed = parse_model_name(settings.model)
    batch = settings.concurrency or settings.max_num_seqs or USUAL_BATCH.get(parsed.kind, 64)
    if parsed.kind not in ("vllm", "hf", "gguf"):
        note = "the endpoint's speed is not known" if parsed.kind == "openai" else ""
        return ServedModel(parsed.kind, 0, 0, 0, 0, 1, batch, note)
    note = ""
    try:
        entry = entry_of(parsed.target)
        parameters, weights, kv = entry.parameters, weight_bytes(entry), kv_bytes_per_token(entry)
    except UsageError:
        parameters, weights, kv = USUAL_PARAMETERS, 2 * USUAL_PARAMETERS, 1 << 17
        note = f"the size of {parsed.target} is not known; taken for 7 billion parameters"
    if not fleet.gpus:
        return ServedModel(parsed.kind, parameters, weights, kv, 0, 1, batch, note)
    if parsed.kind != "vllm":
        return ServedModel(parsed.kind, parameters, weights, kv, 1, 1, batch, note)
    each = settings.tensor_parallel_size or (_gpus_for(weights + ROOM_FOR_TOKENS * kv, fleet) if fleet.assumed else 1)
    return ServedModel("vllm", parameters, weights, kv, each, max(1, fleet.nodes * (fleet.gpus // each)), batch, note)


def _gpus_for(wanted: float, fleet: Fleet) -> int:
    """The smallest power of two of GPUs that hold so many bytes, of one machine at most."""
    gpus = 1
    while gpus * (fleet.gpu_bytes * USABLE - OVERHEAD_BYTES) < wanted and 2 * gpus <= fleet.gpus:
        gpus *= 2
    return gpus
