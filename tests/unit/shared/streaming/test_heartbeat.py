"""What a worker that follows small topics announces of them: as one reading, all partitions of all topics."""

from shared.records import Partition
from shared.streaming.heartbeat import FollowedTopics


class Follower:
    def __init__(self, **offsets: int) -> None:
        self.positions = {Partition(topic, 0): offset for topic, offset in offsets.items()}


def test_what_several_followers_read_is_one_reading():
    jobs = Follower(jobs=7, models=2)
    jobs.positions[Partition("jobs", 1)] = 0
    followed = FollowedTopics("trainer", jobs, Follower(rollouts=4))
    assert followed.name == "trainer"
    assert followed.positions == {("jobs", 0): 7, ("jobs", 1): 0, ("models", 0): 2, ("rollouts", 0): 4}
    assert dict(followed.partitions) == {"jobs": 2, "models": 1, "rollouts": 1}
    assert not followed.uncommitted


def test_it_follows_what_its_followers_have_come_to():
    follower = Follower(rollouts=4)
    followed = FollowedTopics("search", follower)
    follower.positions[Partition("rollouts", 0)] = 5
    assert followed.positions == {("rollouts", 0): 5}
