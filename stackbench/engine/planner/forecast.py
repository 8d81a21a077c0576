"""The estimate of a run: what each benchmark needs, how long it takes, and when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from stackbench.config import Settings
from stackbench.engine.planner.fleet import Fleet
from stackbench.engine.planner.profiles import Profile, Share, find_profile
from stackbench.engine.planner.schedule import Lane, Phase, Wish, make_schedule
from stackbench.engine.planner.speed import ENGINE_REQUESTS_PER_S, ENGINE_TURNS_PER_S, ServedModel
from stackbench.store.timings import BenchmarkTiming, RunTiming

__all__ = ["Bar", "BenchmarkForecast", "RunForecast", "Workload", "forecast_run"]

GIB = 1 << 30
ROW_BYTES = 400
BYTES_PER_TOKEN = 5.0
"""Of text and its log, in the database."""
ENGINE_BYTES = GIB // 2
USUAL_SETUP_S = 2.0
"""Beside the model's own start."""
USUAL_FINISH_S = 0.5
ALIKE = 2.0
"""A run is the better measure where it made at most so many times more, or fewer, attempts."""
RUNS_TAKEN = 5
SPEED_STREAMS = 8
"""At once in a benchmark of speed, about."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One benchmark of the plan, counted."""

    name: str
    tasks: int
    attempts: int
    counted: bool = True
    """Whether its tasks were looked at; else their number is that of the published set."""
    optional: bool = False
    priority: int | None = None
    speed: bool = False
    """Whether it measures the model's speed: it has the machine to itself, whatever its profile says."""
    agent: bool = False
    """Whether its attempts are made by an agent with tools."""
    tokens: tuple[int, int] | None = None
    """Of the prompts and the answers of an attempt (of speed: of one stream of it), where its options tell."""
    max_tokens: int | None = None
    """The limit of an answer, where the suite or the user sets one."""

    @property
    def profile(self) -> Profile:
        """What an attempt asks for, with the priority that the suite gives."""
        found = find_profile(self.name)
        update = {"share": "exclusive" if self.speed else found.share, "priority": self.priority or found.priority}
        prompt, completion = self.tokens or (found.prompt_tokens, found.completion_tokens)
        if self.max_tokens is not None and not self.speed:
            completion = min(completion, self.max_tokens * found.turns)
        update |= {"prompt_tokens": prompt, "completion_tokens": completion}
        return found.model_copy(update={**update, "agent": self.agent or found.agent})


@dataclass(frozen=True, slots=True)
class BenchmarkForecast:
    """What one benchmark needs; bytes and seconds."""

    name: str
    profile: Profile
    tasks: int
    attempts: int
    counted: bool
    """Whether its tasks were looked at; else their number is that of the published set, or of an earlier run."""
    share: Share
    optional: bool
    priority: int
    gpus: int
    """Of the servers that it runs on; 0: none."""
    servers: int
    sandboxes: int
    cores: int
    memory_bytes: int
    """Of this machine: engine, sandboxes, and the model where it is on the processors. At most."""
    vram_bytes: int
    """On each of its GPUs: weights, and the contexts of the requests it works on."""
    seconds: float
    """Its share of the run's time, by itself on what it has."""
    longest_s: float
    """Its longest attempt."""
    disk_bytes: int
    basis: str
    """What the estimate is made from."""
    measured: bool
    cut: str = ""
    """Why it is left out; empty where it is not."""


@dataclass(frozen=True, slots=True)
class Bar:
    """When a benchmark runs, and where; seconds from the run's start."""

    name: str
    servers: tuple[int, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class RunForecast:
    """The plan of a run."""

    fleet: Fleet
    model: ServedModel
    phases: Sequence[Phase]
    benchmarks: Sequence[BenchmarkForecast]
    """In the plan's order, those that are cut included."""
    bars: Sequence[Bar]
    setup_s: float
    seconds: float
    """All of it, to the last figure."""
    disk_bytes: int
    memory_bytes: int
    measured: bool
    """Whether every benchmark is estimated from earlier runs of this home."""
    notes: Sequence[str] = field(default_factory=list[str])

    @property
    def cut(self) -> dict[str, str]:
        """What is left out, with the reason."""
        return {one.name: one.cut for one in self.benchmarks if one.cut}


def forecast_run(
    work: Sequence[Workload],
    settings: Settings,
    fleet: Fleet,
    model: ServedModel,
    timings: Sequence[RunTiming] = (),
    *,
    servers: int | None = None,
    may_cut: bool = True,
) -> RunForecast:
    """The plan of a run on these machines; `timings` are those of earlier runs of the model, the newest first.

    `servers`: those that there are, where the model is started already. With `max_hours`, benchmarks that do not fit
    any more are cut, those of the last priority first, as far as their time is known from earlier runs; unless
    `may_cut` is false.
    """
    if servers is not None:
        model = replace(model, servers=servers)
    timings = [] if fleet.assumed else timings
    found = [_forecast(one, settings, fleet, model, timings) for one in work]
    setup = _usual([one.setup_s for one in timings], USUAL_SETUP_S + model.start_s)
    finish = _usual([one.finish_s for one in timings], USUAL_FINISH_S)
    if settings.max_hours is not None and may_cut:
        found = _cut(found, settings.max_hours * 3600 - setup - finish, settings.max_hours)
    kept = [one for one in found if not one.cut]
    agents = {one.name: one.profile.agent for one in work}
    wishes = [Wish(one.name, one.share, one.priority, one.optional, agents[one.name], one.seconds) for one in kept]
    on_gpus = fleet.gpus > 0 and model.gpus > 0
    phases = make_schedule(
        wishes,
        model.servers,
        on_gpus=on_gpus,
        one_by_one=settings.one_by_one,
        by_priority=settings.max_hours is not None,
    )
    bars, end = _bars(phases, {one.name: one for one in kept}, setup, model.servers)
    placed = {bar.name: bar for bar in bars}
    found = [
        replace(one, servers=len(placed[one.name].servers), gpus=model.gpus * len(placed[one.name].servers))
        if one.name in placed
        else one
        for one in found
    ]
    found = [replace(one, share="together") if one.share == "alone" and not on_gpus else one for one in found]
    notes = [model.note] if model.note else []
    disk = sum(one.disk_bytes for one in kept) + model.weight_bytes
    if fleet.disk_free is not None and disk > fleet.disk_free:
        notes.append(f"the disk has {fleet.disk_free / GIB:,.0f} GiB free, and {disk / GIB:,.0f} GiB are needed")
    weights = model.weight_bytes / (model.gpus or 1)
    if weights > (fleet.gpu_bytes if model.gpus else fleet.memory_bytes):
        notes.append("the weights do not fit; name a smaller model, --quantization or --tensor-parallel-size")
    if settings.max_hours is not None and settings.max_hours * 3600 < end + finish:
        notes.append(f"--max-hours {settings.max_hours:g} may end it before its work is done; it can then be resumed")
    return RunForecast(
        fleet=fleet,
        model=model,
        phases=phases,
        benchmarks=found,
        bars=bars,
        setup_s=setup,
        seconds=end + finish,
        disk_bytes=disk,
        memory_bytes=max((one.memory_bytes for one in kept), default=ENGINE_BYTES),
        measured=all(one.measured for one in kept),
        notes=notes,
    )


def _forecast(
    one: Workload, settings: Settings, fleet: Fleet, model: ServedModel, timings: Sequence[RunTiming]
) -> BenchmarkForecast:
    profile = one.profile
    in_flight = min(one.attempts, model.batch * model.servers)
    box = max(profile.sandbox_mib, settings.agent_memory_mib if profile.agent else settings.sandbox_memory_mib) << 20
    boxes = _boxes(in_flight, box, profile, settings, fleet) if profile.code_s else 0
    seconds, longest, basis = _time(one, profile, fleet, model, timings, boxes if profile.agent else 0)
    on_processors = model.weight_bytes if model.parameters and not model.gpus else 0
    context = min(profile.context_tokens, 1 << 17)
    per_gpu = (model.weight_bytes + min(in_flight, model.batch) * context * model.kv_bytes) // max(1, model.gpus)
    images = profile.image_gib * GIB * min(1.0, one.tasks / profile.tasks)
    tokens = (profile.prompt_tokens + profile.completion_tokens) * one.attempts
    return BenchmarkForecast(
        name=one.name,
        profile=profile,
        tasks=one.tasks,
        attempts=one.attempts,
        share=profile.share,
        optional=one.optional,
        priority=profile.priority,
        gpus=model.gpus,
        servers=model.servers,
        sandboxes=boxes,
        cores=min(fleet.total_cores, boxes),
        memory_bytes=ENGINE_BYTES + on_processors + boxes * box // fleet.nodes,
        vram_bytes=min(per_gpu, int(fleet.gpu_bytes * 0.9)) if model.gpus else 0,
        seconds=seconds,
        longest_s=longest,
        disk_bytes=int(one.attempts * ROW_BYTES + tokens * BYTES_PER_TOKEN + images),
        counted=one.counted,
        basis=basis,
        measured=basis.startswith("measured"),
    )


def _boxes(wanted: int, box_bytes: int, profile: Profile, settings: Settings, fleet: Fleet) -> int:
    """Containers at once: of agents as many as the memory holds, of samples no more than there are cores."""
    memory = settings.sandbox_budget_mib << 20 if settings.sandbox_budget_mib else fleet.memory_bytes
    fitting = fleet.nodes * max(1, memory // box_bytes)
    most = settings.sandboxes or (fitting if profile.agent else fleet.total_cores)
    return min(wanted, most, fitting)


def _time(
    one: Workload, profile: Profile, fleet: Fleet, model: ServedModel, timings: Sequence[RunTiming], boxes: int
) -> tuple[float, float, str]:
    """Seconds of the run's time, of the longest attempt, and what is known of them.

    `boxes`: containers of agents, each of which has one for as long as it works; 0: no agent's.
    """
    found = [timing.benchmarks[one.name] for timing in timings if one.name in timing.benchmarks]
    if found and not found[0].attempts:
        return found[0].prepare_s, 0.0, "measured: left out"
    found = [timing for timing in found if timing.attempts]
    if found:
        alike = [each for each in found if 1 / ALIKE <= each.attempts / max(1, one.attempts) <= ALIKE]
        taken = (alike or found)[:RUNS_TAKEN]
        servers = 1 if profile.share == "exclusive" else model.servers
        each = median(timing.share_s / timing.attempts * timing.servers for timing in taken) / servers
        prepared = median(timing.prepare_s for timing in taken)
        runs = "1 run" if len(taken) == 1 else f"{len(taken)} runs"
        how = "" if alike else f" of {_counts(taken)}"
        return prepared + each * one.attempts, max(timing.longest_s for timing in taken), f"measured: {runs}{how}"
    if not one.attempts:  # a resumed run has none left
        return 0.0, 0.0, "assumed"
    at_once = min(one.attempts, model.batch * model.servers)
    of_each = SPEED_STREAMS if profile.share == "exclusive" else -(-at_once // model.servers)
    of_server, alone = model.request_seconds(profile, fleet, of_each)
    code = profile.code_s / fleet.total_cores
    if profile.share == "exclusive":
        return alone * one.attempts, alone, "assumed"
    # a few attempts do not fill the batch: they take as long as each of them by itself
    spread = max(of_server / model.servers, alone / min(at_once, boxes or at_once))
    engine = profile.turns / (ENGINE_TURNS_PER_S if profile.agent else ENGINE_REQUESTS_PER_S)
    return one.attempts * max(spread, code, engine), alone + profile.code_s, "assumed"


def _counts(timings: Sequence[BenchmarkTiming]) -> str:
    sizes = sorted({timing.attempts for timing in timings})
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _usual(measured: Sequence[float], otherwise: float) -> float:
    return median(measured[:RUNS_TAKEN]) if measured else otherwise


def _cut(found: Sequence[BenchmarkForecast], room_s: float, hours: float) -> list[BenchmarkForecast]:
    """Leaves out what has no room, by priority; the first of them all stays."""
    left, cut = room_s, dict[str, str]()
    for one in sorted(found, key=lambda one: (one.optional, one.priority)):
        takes = max(one.seconds, one.longest_s)
        if takes > left and left < room_s and one.measured:
            cut[one.name] = f"--max-hours {hours:g} has no room for it (about {takes / 3600:.2g} h)"
        else:
            left -= takes
    return [replace(one, cut=cut.get(one.name, "")) for one in found]


def _bars(
    phases: Sequence[Phase], known: Mapping[str, BenchmarkForecast], start: float, servers: int
) -> tuple[list[Bar], float]:
    bars: list[Bar] = []
    for phase in phases:
        ends = [start]
        for lane in phase:
            found = _lane_bars(lane, known, start, servers)
            bars += found
            ends += [bar.end_s for bar in found]
        start = max(ends)
    return bars, start


def _lane_bars(lane: Lane, known: Mapping[str, BenchmarkForecast], start: float, servers: int) -> list[Bar]:
    """Benchmarks of a lane share it equally; optional ones begin when all attempts of the others have begun."""
    bars: list[Bar] = []
    scale = servers / max(1, len(lane.servers))
    if len(lane.names) == 1 and known[lane.names[0]].share == "exclusive":
        scale = 1.0
    now, begins = start, start
    for optional in (False, True):
        work = {name: known[name].seconds * scale for name in lane.names if known[name].optional is optional}
        done = 0.0
        for number, (name, seconds) in enumerate(sorted(work.items(), key=lambda item: item[1])):
            now += (seconds - done) * (len(work) - number)
            done = seconds
            bars.append(Bar(name, lane.servers, begins, max(now, begins + known[name].longest_s)))
        begins = max(start, now - max((known[name].longest_s for name in work), default=0.0))
    order = {name: number for number, name in enumerate(lane.names)}
    return sorted(bars, key=lambda bar: (bar.start_s, order[bar.name]))
