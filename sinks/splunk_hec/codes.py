"""The codes with which Splunk's HTTP Event Collector answers, what the sink does about each, and what its reader can do.

Source: Splunk's "Troubleshoot HTTP Event Collector"; 23 to 28 as Splunk Enterprise 10.4 and Splunk Cloud 10.5 answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType


class Reaction(Enum):
    """What the sink does about a code."""

    TAKEN = auto()  # the events were taken in
    TAKEN_SLOW_DOWN = auto()  # the events were taken in, and the next write waits
    BAD_EVENT = auto()  # one event is refused for good: those before it were taken in, those behind it are sent again
    WRONG_INDEX = auto()  # as above, but the event named stands behind the refused one, and it is the config that is to blame
    SLOW_DOWN = auto()  # nothing was taken in: later again
    DENIED = auto()  # nothing was taken in, and somebody has to act
    UNAVAILABLE = auto()  # nothing was taken in: again
    UNKNOWN = auto()  # nobody knows what was taken in: again, and what comes again may be doubled


@dataclass(frozen=True, slots=True)
class Code:
    """A code.

    Attributes:
        number: As the answer gives it.
        status: HTTP status that it comes with.
        text: What Splunk says.
        reaction: What the sink does.
        remedy: What its reader can do; empty where nothing is to be done.
    """

    number: int
    status: int
    text: str
    reaction: Reaction
    remedy: str = ""


_OTHER = "copy the token's value from Settings > Data inputs > HTTP Event Collector into `token`"
_NO_CHANNEL = (
    "the sink always sends the header X-Splunk-Request-Channel: see that no proxy or load balancer in between removes it or "
    "changes it"
)
_BAD_EVENT = "look at the event (`ualpipe dead-letters show`); the others go on"
_QUEUES = "nothing, if it passes; else look at the indexer's queues (Monitoring Console > Indexing > Performance)"

_TABLE = (
    Code(0, 200, "Success", Reaction.TAKEN),
    Code(1, 403, "Token disabled", Reaction.DENIED, "enable the token in Settings > Data inputs > HTTP Event Collector"),
    Code(2, 401, "Token is required", Reaction.DENIED, "see that no proxy in between removes the header Authorization"),
    Code(3, 401, "Invalid authorization", Reaction.DENIED, "see that no proxy in between changes the header Authorization"),
    Code(4, 403, "Invalid token", Reaction.DENIED, _OTHER),
    Code(5, 400, "No data", Reaction.BAD_EVENT, "see that no proxy in between takes the body of requests away"),
    Code(6, 400, "Invalid data format", Reaction.BAD_EVENT, _BAD_EVENT),
    Code(7, 400, "Incorrect index", Reaction.WRONG_INDEX, "allow the index for the token, create it, or mend `index`"),
    Code(8, 500, "Internal server error", Reaction.UNKNOWN, "look into splunkd.log of the indexer"),
    Code(9, 503, "Server is busy", Reaction.SLOW_DOWN, _QUEUES),
    Code(10, 400, "Data channel is missing", Reaction.DENIED, _NO_CHANNEL),
    Code(11, 400, "Invalid data channel", Reaction.DENIED, _NO_CHANNEL),
    Code(12, 400, "Event field is required", Reaction.BAD_EVENT, _BAD_EVENT),
    Code(13, 400, "Event field cannot be blank", Reaction.BAD_EVENT, _BAD_EVENT),
    Code(14, 400, "ACK is disabled", Reaction.DENIED, "enable indexer acknowledgement for the token, or say `ack: false`"),
    Code(15, 400, "Error in handling indexed fields", Reaction.BAD_EVENT, _BAD_EVENT),
    Code(
        16,
        400,
        "Query string authorization is not enabled",
        Reaction.DENIED,
        "take the token out of `url`: it belongs into `token`",
    ),
    Code(17, 200, "HEC is healthy", Reaction.TAKEN),
    Code(18, 503, "HEC is unhealthy, queues are full", Reaction.SLOW_DOWN, _QUEUES),
    Code(19, 503, "HEC is unhealthy, ack service unavailable", Reaction.SLOW_DOWN, "look into splunkd.log of the indexer"),
    Code(20, 503, "HEC is unhealthy, queues are full, ack service unavailable", Reaction.SLOW_DOWN, _QUEUES),
    Code(21, 400, "Invalid token", Reaction.DENIED, _OTHER),
    Code(22, 400, "Token disabled", Reaction.DENIED, "enable the token in Settings > Data inputs > HTTP Event Collector"),
    Code(23, 503, "Server is shutting down", Reaction.UNAVAILABLE, "nothing, if Splunk comes back"),
    Code(24, 200, "Queue is nearing its limit", Reaction.TAKEN_SLOW_DOWN, _QUEUES),
    Code(25, 200, "ACK channel is nearing its limit", Reaction.TAKEN_SLOW_DOWN, "lower `concurrency`"),
    Code(26, 429, "Queue is at capacity", Reaction.SLOW_DOWN, _QUEUES),
    Code(27, 429, "ACK channel is at capacity", Reaction.SLOW_DOWN, "lower `concurrency`"),
    Code(28, 400, "Data channel is missing; sticky sessions are required", Reaction.DENIED, _NO_CHANNEL),
)

CODES = MappingProxyType({code.number: code for code in _TABLE})
"""All codes, by number."""
