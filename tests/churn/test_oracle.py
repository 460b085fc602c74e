"""What the oracle must see, and what it must let pass: each rule, on a few lines of log."""

import logs
import oracle
import pytest

STALL_MS = 2_000
MS = 1_000_000


class Script:
    """A round made up line by line; times are in milliseconds."""

    def __init__(self, index_acks=False):
        self.happened = logs.Round(index_acks)
        self.producer, self.consumers, self.killed = [], {}, {}
        self.sent = 0

    def stored(self, at, entry, *keys):
        """One entry with a message for each key; its id is (1, entry)."""
        for index, key in enumerate(keys):
            self.producer.append(f"s {at * MS} {self.sent} {key}")
            self.producer.append(f"R {(at + 1) * MS} {self.sent} 1 {entry} {index}")
            self.sent += 1

    def joins(self, at, *names):
        for name in names:
            self.consumers[name] = [f"S {at * MS}", f"O {at * MS}"]

    def idle(self, at, *names):
        for name in names:
            self.consumers[name].append(f"i {at * MS}")

    def got(self, at, name, entry, count=0, indexes=(0,)):
        numbers = [int(line.split()[2]) for line in self.producer if line.startswith("R")
                   and line.split()[4] == str(entry)]
        for index in indexes:
            words = f"1 {entry} {index} {count} made {numbers[index]}"
            self.consumers[name].append(f"r {at * MS} {words}")

    def acks(self, at, name, entry, count=0, indexes=(0,)):
        for index in indexes:
            self.consumers[name].append(f"a {at * MS} 1 {entry} {index} {count}")

    def nacks(self, at, name, entry, count=0, index=0):
        self.consumers[name].append(f"n {at * MS} 1 {entry} {index} {count}")

    def closes(self, at, *names):
        """Begins to, and is 10 ms later."""
        for name in names:
            self.consumers[name] += [f"c {at * MS}", f"C {(at + 10) * MS}"]

    def dies(self, at, name):
        self.killed[name] = at * MS

    def broken(self):
        """Which rules are."""
        logs.read_producer(self.producer, "made", self.happened)
        for name, lines in self.consumers.items():
            logs.read_consumer(lines, name, self.killed.get(name, logs.NEVER), self.happened)
        logs.settle(self.happened)
        return {violation.rule for violation in oracle.violations(self.happened, STALL_MS * MS)}


def two_entries_of_a_key(index_acks=False):
    script = Script(index_acks)
    script.stored(0, 0, "a", "b")
    script.stored(5, 1, "a")
    script.joins(0, "one", "two")
    script.got(10, "one", 0, indexes=(0, 1))
    return script


@pytest.mark.parametrize("acked, broken", [(15, set()), (25, {"apart", "in order"})])
@pytest.mark.parametrize("index_acks", [False, True])
def test_a_key_goes_on_elsewhere_after_the_last_ack_only(index_acks, acked, broken):
    script = two_entries_of_a_key(index_acks)
    script.acks(12, "one", 0)
    script.acks(acked, "one", 0, indexes=(1,))
    script.got(20, "two", 1)
    script.acks(30, "two", 1)
    script.closes(40, "one", "two")
    assert script.broken() == broken


def test_what_one_consumer_has_may_be_many():
    script = two_entries_of_a_key()
    script.got(20, "one", 1)
    script.acks(30, "one", 1)
    script.acks(31, "one", 0, indexes=(0, 1))
    script.closes(40, "one", "two")
    assert script.broken() == set()


def test_the_other_keys_of_a_batch_go_where_the_first_one_goes():
    script = Script()
    script.stored(0, 0, "a", "b")
    script.stored(5, 1, "b")
    script.joins(0, "one", "two")
    script.got(10, "one", 0, indexes=(0, 1))
    script.got(11, "two", 1)
    script.acks(20, "one", 0, indexes=(0, 1))
    script.acks(20, "two", 1)
    script.closes(40, "one", "two")
    assert script.broken() == set()


@pytest.mark.parametrize("ends", ["dies", "closes"])
def test_what_an_ended_consumer_held_goes_to_others_in_order(ends):
    script = two_entries_of_a_key()
    script.got(11, "one", 1)
    getattr(script, ends)(15, "one")
    script.got(20, "two", 0, indexes=(0, 1))
    script.got(21, "two", 1)
    script.acks(30, "two", 0, indexes=(0, 1))
    script.acks(30, "two", 1)
    script.closes(40, "two")
    assert script.broken() == set()


def test_what_a_killed_consumer_held_comes_back_in_order():
    script = two_entries_of_a_key()
    script.dies(15, "one")
    script.got(20, "two", 1)
    script.got(21, "two", 0, indexes=(0, 1))
    script.acks(30, "two", 0, indexes=(0, 1))
    script.acks(30, "two", 1)
    script.closes(40, "two")
    assert script.broken() == {"in order"}


def test_an_ack_that_a_killed_consumer_had_begun_excuses_the_broker_and_does_not_accuse_it():
    script = two_entries_of_a_key()
    script.acks(14, "one", 0, indexes=(0, 1))
    script.dies(15, "one")
    script.got(20, "two", 1)  # The ack has come through,
    script.acks(22, "two", 1)
    assert script.broken() == set()
    script = two_entries_of_a_key()
    script.acks(14, "one", 0, indexes=(0, 1))
    script.dies(15, "one")
    script.got(20, "two", 0, indexes=(0, 1))  # or it has not.
    script.joins(0, "three")
    script.got(25, "three", 1)
    script.acks(30, "two", 0, indexes=(0, 1))
    script.acks(30, "three", 1)
    script.closes(40, "two", "three")
    assert script.broken() == {"apart"}


def nacked(index_acks=False):
    script = two_entries_of_a_key(index_acks)
    script.got(11, "one", 1)
    script.nacks(15, "one", 0)
    script.nacks(16, "one", 1)
    return script


def test_nacked_entries_come_again_in_order():
    script = nacked()
    script.got(130, "one", 0, count=1, indexes=(0, 1))
    script.got(131, "one", 1, count=1)
    script.acks(140, "one", 0, count=1, indexes=(0, 1))
    script.acks(140, "one", 1, count=1)
    script.closes(200, "one", "two")
    assert script.broken() == set()


def test_a_nacked_entry_does_not_come_before_an_older_one_that_was_nacked_with_it():
    script = nacked()
    script.got(130, "one", 1, count=1)
    script.got(131, "one", 0, count=1, indexes=(0, 1))
    script.acks(140, "one", 0, count=1, indexes=(0, 1))
    script.acks(140, "one", 1, count=1)
    script.closes(200, "one", "two")
    assert script.broken() == {"in order after nacks"}


def test_one_that_was_nacked_later_may_come_later():
    script = two_entries_of_a_key()
    script.got(11, "one", 1)
    script.nacks(15, "one", 1)
    script.nacks(90, "one", 0)
    script.got(130, "one", 1, count=1)
    script.got(200, "one", 0, count=1, indexes=(0, 1))
    script.acks(240, "one", 0, count=1, indexes=(0, 1))
    script.acks(240, "one", 1, count=1)
    script.closes(300, "one", "two")
    assert script.broken() == set()


@pytest.mark.parametrize("count, broken", [(0, {"for a reason"}), (1, set()), (2, {"for a reason"})])
def test_a_nack_raises_the_count_by_one(count, broken):
    script = two_entries_of_a_key()
    script.nacks(15, "one", 0)
    script.got(130, "two", 0, count, indexes=(0, 1))
    script.acks(140, "two", 0, count, indexes=(0, 1))
    script.got(150, "two", 1)
    script.acks(160, "two", 1)
    script.closes(200, "one", "two")
    assert script.broken() == broken


def test_an_end_raises_no_count():
    script = two_entries_of_a_key()
    script.dies(15, "one")
    script.got(130, "two", 0, count=1, indexes=(0, 1))
    script.acks(140, "two", 0, count=1, indexes=(0, 1))
    script.got(150, "two", 1)
    script.acks(160, "two", 1)
    script.closes(200, "two")
    assert script.broken() == {"for a reason"}


def test_what_was_acked_by_who_stays_does_not_come_again():
    script = two_entries_of_a_key()
    script.acks(15, "one", 0, indexes=(0, 1))
    script.got(16, "two", 1)
    script.acks(17, "two", 1)
    script.got(20, "two", 0, indexes=(0, 1))
    script.acks(21, "two", 0, indexes=(0, 1))
    script.closes(40, "one", "two")
    assert script.broken() == {"for a reason"}


@pytest.mark.parametrize("joins, broken", [(20, set()), (30, {"acks last"})])
@pytest.mark.parametrize("index_acks", [False, True])
def test_what_was_acked_by_who_is_closed_does_not_come_again(index_acks, joins, broken):
    """Closed at 25: what comes to one who joined before may have been on its way."""
    script = Script(index_acks)
    script.stored(0, 0, "a")
    script.joins(0, "one")
    script.got(10, "one", 0)
    script.acks(12, "one", 0)
    script.closes(15, "one")
    script.joins(joins, "two")
    script.got(31, "two", 0)
    script.acks(32, "two", 0)
    script.closes(40, "two")
    assert script.broken() == broken


def test_a_message_of_a_batch_that_was_acked_does_not_come_again():
    script = Script(index_acks=True)
    script.stored(0, 0, "a", "a")
    script.joins(0, "one")
    script.got(10, "one", 0, indexes=(0, 1))
    script.acks(12, "one", 0, indexes=(1,))
    script.closes(15, "one")
    script.joins(30, "two")
    script.got(31, "two", 0, indexes=(0,))
    script.acks(32, "two", 0, indexes=(0,))
    script.closes(40, "two")
    assert script.broken() == set()
    script.consumers["two"].insert(-3, f"r {31 * MS} 1 0 1 0 made 1")
    script.happened = logs.Round(True)
    assert script.broken() == {"acks last"}


@pytest.mark.parametrize("index_acks", [False, True])
def test_everything_must_be_acked(index_acks):
    script = two_entries_of_a_key(index_acks)
    script.acks(12, "one", 0)
    script.got(14, "one", 1)
    script.acks(16, "one", 1)
    script.closes(40, "one", "two")
    assert script.broken() == {"everything arrives"}


def test_everything_must_come():
    script = Script()
    script.stored(0, 0, "a")
    script.joins(0, "one")
    script.closes(40, "one")
    assert script.broken() == {"everything arrives"}


@pytest.mark.parametrize(
    "got, idle, calm_until, broken",
    [
        (1_900, 1_890, 9_000, set()),
        (2_600, 2_590, 9_000, {"no stall"}),
        # Somebody may have had it in its queue all the time.
        (2_600, 50, 9_000, set()),
        # It stops to be calm.
        (2_600, 2_590, 1_900, set()),
    ],
)
@pytest.mark.parametrize("others_go_on", [False, True])
def test_nothing_waits_longer_than_the_bound(got, idle, calm_until, broken, others_go_on):
    script = slow_key(got, idle, calm_until, newer=others_go_on)
    assert script.broken() == broken


def test_what_is_behind_a_backlog_does_not_stall():
    script = slow_key(2_600, 2_590, 9_000, newer=False, older=True)
    assert script.broken() == set()


def slow_key(got, idle, calm_until, newer, older=False):
    """Entry 5, of which nothing but time comes before; all the while others are received, or not."""
    script = Script()
    script.happened.calms = [(0, calm_until * MS)]
    numbers = list(range(20, 30)) if newer else list(range(3, 5)) if older else []
    script.stored(0, 0, "a")
    for number in sorted(numbers + [5]):
        script.stored(1, number, "a" if number == 5 else "others")
    script.joins(0, "one", "two")
    script.got(10, "one", 0)
    script.acks(20, "one", 0)
    for at, number in enumerate(numbers):
        when = 20 + (at + 1) * (got - 30) // (len(numbers) + 1)
        script.got(when, "one", number)
        script.acks(when + 1, "one", number)
    script.idle(idle, "one", "two")
    script.got(got, "two", 5)
    script.acks(got + 10, "two", 5)
    script.closes(got + 20, "one", "two")
    return script


def test_what_waits_for_an_ack_does_not_stall():
    script = Script()
    script.happened.calms = [(0, 9_000 * MS)]
    script.stored(0, 0, "a")
    script.stored(5, 1, "a")
    script.joins(0, "one", "two")
    script.got(10, "one", 0)
    script.idle(2_500, "one", "two")
    script.acks(2_600, "one", 0)
    script.got(2_610, "two", 1)
    script.acks(2_620, "two", 1)
    script.closes(2_700, "one", "two")
    assert script.broken() == set()


def test_what_never_comes_stalls():
    script = Script()
    script.happened.calms = [(0, 9_000 * MS)]
    script.stored(0, 0, "a")
    script.joins(0, "one")
    script.idle(8_900, "one")
    script.closes(9_500, "one")
    assert script.broken() == {"everything arrives", "no stall"}


def test_what_is_stored_follows_the_sends():
    script = Script()
    script.stored(0, 1, "a")
    script.stored(5, 0, "b")
    script.joins(0, "one")
    script.got(10, "one", 0)
    script.got(10, "one", 1)
    script.acks(20, "one", 0)
    script.acks(20, "one", 1)
    script.closes(30, "one")
    assert script.broken() == {"stored in order"}


def test_logs_that_do_not_fit_are_refused():
    script = two_entries_of_a_key()
    script.consumers["two"].append(f"r {20 * MS} 1 1 0 0 made 0")
    with pytest.raises(logs.Malformed, match="two got"):
        script.broken()
    script = two_entries_of_a_key()
    script.got(12, "one", 0)
    with pytest.raises(logs.Malformed, match="twice"):
        script.broken()
    script = two_entries_of_a_key()
    script.producer.pop()
    with pytest.raises(logs.Malformed, match="no receipt"):
        script.broken()


def test_slots_are_pulsars():
    assert [logs.slot(key) for key in ("A", "B", "NONE_KEY")] == [63_438, 27_274, 48_803]
