"""What a broker that answers refuses, and which of it is a pause: in words, with what to do.

Rights and credentials that were taken away come back, a topic is made again, replicas catch up. None of that
is the message's fault. What is, no waiting mends.
"""

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    KafkaStorageError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    PolicyViolationError,
    RecordTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
    UnsupportedVersionError,
)

from shared.errors import TransientError, Trouble

FAULTS = (
    MessageSizeTooLargeError,
    RecordTooLargeError,
    InvalidTimestampError,
    InvalidTopicError,
    UnsupportedForMessageFormatError,
    UnsupportedVersionError,
)
"""Of what was asked: asking again does not help."""
FORBIDDEN = {
    TopicAuthorizationFailedError: "topics",
    GroupAuthorizationFailedError: "groups",
    ClusterAuthorizationFailedError: "the cluster (IdempotentWrite)",
    TransactionalIdAuthorizationFailed: "transactional ids",
}
CREDENTIALS = Trouble(
    "kafka.credentials",
    "refuses our user or its password",
    "set HEADRACE_KAFKA_SECURITY__USERNAME and PASSWORD as the broker has them",
)
CLOCK = Trouble(
    "kafka.clock",
    "takes nothing that is written at the time of our clock",
    "set the clock of this machine, or leave the time to the broker: headrace topics apply",
)
REPLICAS = Trouble("kafka.replicas", "has too few replicas in sync", "start the brokers that are missing")
PASSING: dict[type[KafkaError], Trouble] = {
    SaslAuthenticationFailed: CREDENTIALS,
    AuthenticationFailedError: CREDENTIALS,
    IllegalSaslStateError: CREDENTIALS,
    UnknownTopicOrPartitionError: Trouble("kafka.topics", "has no such topic", "headrace topics apply"),
    NotEnoughReplicasError: REPLICAS,
    NotEnoughReplicasAfterAppendError: REPLICAS,
    KafkaStorageError: Trouble(
        "kafka.disk", "cannot use its disk", "make room on it; its log has the reason"
    ),
    PolicyViolationError: Trouble("kafka.policy", "has a policy against it", "ask who runs it"),
}


def forbidden(address: str, what: str) -> TransientError:
    """Return the error for a right that our user lacks."""
    return TransientError(
        f"the broker at {address} forbids our user {what}",
        cause="kafka.forbidden",
        fix="grant it: kafka-acls --add --allow-principal User:NAME --operation All, for what is named",
    )


def unacknowledged(address: str, messages: int) -> TransientError:
    """Return the error for messages that a broker neither takes nor refuses."""
    return TransientError(
        f"the broker at {address} has not acknowledged {messages} messages",
        cause="kafka.unacknowledged",
        fix="start the brokers that are missing, or look at its log: it may have too few replicas in sync",
    )


def is_fault(error: KafkaError) -> bool:
    """Say whether what was asked is at fault, which no waiting mends."""
    return isinstance(error, FAULTS)


def pause_of(error: KafkaError | OSError, address: str, what: str) -> TransientError:
    """Return the pause that an answer means, or that there is none, to whoever wanted to do `what`."""
    for kind, named in FORBIDDEN.items():
        if isinstance(error, kind):
            return forbidden(address, f"to {what}: {' '.join([named, *map(_named, error.args)])}")
    for kind, trouble in PASSING.items():
        if isinstance(error, kind):
            return trouble.pause(f"cannot {what}: the broker at {address} {trouble.what} ({_named(error)})")
    return TransientError(f"cannot {what}: the broker at {address}: {error!r}", cause="kafka.away")


def _named(what: object) -> str:
    """Return what an error is about, without its long text."""
    return repr(what) if isinstance(what, BaseException) else str(what)
