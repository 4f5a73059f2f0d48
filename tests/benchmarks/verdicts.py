"""What a run says about the goals: each round's ratio against the best peer, and whether that is enough. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.goals import Goal
from benchmarks.spread import Spread, spread_of

Rounds = Sequence[Mapping[str, float | None]]
Results = Mapping[str, Mapping[str, Rounds]]
"""Numbers by study, by contender, by round."""

ROUND = "round"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one goal was met. `peer` is the best of the goal's peers; empty where there is none."""

    goal: Goal
    peer: str
    found: Spread

    @property
    def standing(self) -> str:
        """Say it in one word."""
        if self._is_within(self.goal.reach):
            return "reached"
        return "met" if self._is_within(self.goal.bar) else "missed"

    def _is_within(self, limit: float) -> bool:
        return self.found.middle <= limit if self.goal.less_is_better else self.found.middle >= limit


def verdict_on(goal: Goal, results: Results) -> Verdict | None:
    """Return the verdict, or None where this run measured too little for one."""
    study = results.get(goal.study, {})
    ours = _by_round(study.get(goal.ours, ()), goal.number)
    if not ours:
        return None
    if not goal.peers:
        return Verdict(goal, "", spread_of(list(ours.values())))
    peer = best_peer(goal, study)
    theirs = _by_round(study.get(peer, ()), goal.number)
    shared = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
    return Verdict(goal, peer, spread_of(shared)) if shared else None


def best_peer(goal: Goal, study: Mapping[str, Rounds]) -> str:
    """Return the peer with the best median, or nothing where none was measured."""
    measured = {peer: _by_round(study.get(peer, ()), goal.number) for peer in goal.peers}
    medians = {peer: median(numbers.values()) for peer, numbers in measured.items() if numbers}
    if not medians:
        return ""
    return (min if goal.less_is_better else max)(medians, key=medians.__getitem__)


def _by_round(rounds: Rounds, number: str) -> dict[float, float]:
    """Return one number of every round that has it, so that only what was measured in one round is compared."""
    return {each[ROUND] or 0.0: value for each in rounds if (value := each.get(number)) is not None}
