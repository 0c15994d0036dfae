# SPDX-License-Identifier: BSD-2-Clause
"""The event stream through the real HTTP channel: nothing is left out, nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from ganeti.errors import AccessDenied, Unauthenticated
from ganeti.events.event import Event, EventFilter
from ganeti.events.log import MAX_PAGE_EVENTS
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.rapi.authentication import CHECK_INTERVAL
from ganeti.rapi.channel import TIMEOUTS, Channel
from ganeti.rapi.events.hub import HEARTBEAT, INTERVAL, LINGER, RETRY_DELAY
from ganeti.rapi.events.stream import EventStream
from ganeti.rapi.site import ApiRequest
from tests.rapi.asking import AUTO, USERS, basic
from tests.rapi.events.case import EventCase


class Reader:
    """A client of the stream, and what it has received."""

    def __init__(self, channel: Channel, transport: StringTransport) -> None:
        self.channel = channel
        self.transport = transport
        self.last_event_id = ""

    @property
    def head(self) -> str:
        head: bytes = self.transport.value().partition(b"\r\n\r\n")[0]
        return head.decode()

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def blocks(self) -> list[dict[str, str]]:
        """The blocks of the stream, by the names of their fields."""
        found: list[dict[str, str]] = []
        if "200 OK" not in self.head:
            return found
        for block in dechunked(self.transport.value().partition(b"\r\n\r\n")[2]).split("\n\n"):
            if lines := [line for line in block.split("\n") if line and line[0] != ":"]:
                found.append(dict(line.split(": ", 1) for line in lines))
                self.last_event_id = found[-1].get("id", self.last_event_id)
        return [block for block in found if "data" in block]

    def stop_reading(self) -> None:
        """Take no more than is in the buffers of the connection, which the next write fills."""

        def write(data: bytes) -> None:
            StringTransport.write(self.transport, data)
            self.channel.pauseProducing()

        self.transport.write = write  # type: ignore[method-assign]
        write_all = lambda data: write(b"".join(data))  # noqa: E731
        self.transport.writeSequence = write_all  # type: ignore[method-assign]

    def events(self) -> list[tuple[str, str]]:
        """The id and the event of each block."""
        return [(block["id"], block["event"]) for block in self.blocks()]

    def ids(self) -> list[str]:
        """The ids of what happened on the cluster."""
        notices = ("ready", "reset", "lagged")
        return [identifier for identifier, kind in self.events() if kind not in notices]


def dechunked(data: bytes) -> str:
    """The text of a chunked body, as far as it has come."""
    text = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        text, data = text + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return text.decode()


class StreamCase(EventCase):
    def connect(self, query: str = "", headers: str = AUTO, method: str = "GET") -> Reader:
        return Reader(*self.request(query, headers, method))


class StreamTests(StreamCase):
    def test_a_new_reader_is_told_where_it_begins(self) -> None:
        reader = self.connect()
        self.assertIn("200 OK", reader.head)
        self.assertIn("Content-Type: text/event-stream", reader.head)
        self.assertEqual(reader.events(), [("1", "ready")])
        self.assertEqual(json.loads(reader.blocks()[0]["data"]), {"position": "1"})

    def test_what_happens_is_sent_with_its_id_and_kind(self) -> None:
        reader = self.connect()
        self.change("web1", "web2")
        self.assertEqual(reader.events()[1:], [("2.1", "instance"), ("2.2", "instance")])
        self.assertEqual(json.loads(reader.blocks()[1]["data"])["name"], "web1")

    def test_a_reader_goes_on_where_it_was(self) -> None:
        for _ in range(5):
            self.change("web1", "web2")
        self.assertEqual(self.connect("?since=4.1").ids(), ["4.2", "5.1", "5.2", "6.1", "6.2"])
        self.assertEqual(self.connect("?since=5").ids(), ["6.1", "6.2"])
        self.assertEqual(self.connect("?since=6.2").ids(), [])

    def test_the_header_of_a_reader_that_comes_back_goes_before_the_query(self) -> None:
        for _ in range(3):
            self.change("web1")
        reader = self.connect("?since=1", AUTO + "Last-Event-ID: 3.1\r\n")
        self.assertEqual(reader.ids(), ["4.1"])

    def test_readers_get_what_they_have_selected(self) -> None:
        reader = self.connect("?name=web1&name=web3&kind=instance")
        other = self.connect("?tag=blue")
        self.change("web1", "web2", "web3")
        self.change("web1", kind="node")
        self.change("web9", tags=("blue",))
        self.assertEqual(reader.ids(), ["2.1", "2.3"])
        self.assertEqual(other.ids(), ["4.1"])

    def test_a_position_that_is_not_kept_is_reset(self) -> None:
        self.master.log.restart(StreamPosition(50))
        reader = self.connect("?since=7")
        self.assertEqual(reader.events(), [("50", "reset")])
        self.change("web1")
        self.assertEqual(reader.ids(), ["51.1"])

    def test_a_heartbeat_moves_the_position_of_who_has_selected_nothing(self) -> None:
        reader = self.connect("?name=web9")
        self.change("web1")
        self.clock.advance(HEARTBEAT)
        self.assertEqual((reader.ids(), reader.last_event_id), ([], "2"))
        self.assertIn(b": heartbeat\n", reader.transport.value())

    def test_one_that_selects_nothing_of_what_happens_goes_on_where_it_was(self) -> None:
        reader = self.connect("?name=db1")
        for _ in range(3):
            self.change("web1")
        other = self.connect("?since=1")
        self.change("db1")
        self.assertEqual((reader.ids(), other.ids()), (["5.1"], ["2.1", "3.1", "4.1", "5.1"]))

    def test_heartbeats_come_when_they_are_due_and_not_all_at_once(self) -> None:
        early = self.connect()
        self.clock.advance(HEARTBEAT / 2)
        late = self.connect()
        self.clock.advance(HEARTBEAT / 2)
        beats = [b": heartbeat" in each.transport.value() for each in (early, late)]
        self.assertEqual(beats, [True, False])
        self.clock.advance(HEARTBEAT / 2)
        self.assertIn(b": heartbeat", late.transport.value())

    def test_commits_in_quick_succession_are_read_together(self) -> None:
        self.master.page_events = MAX_PAGE_EVENTS
        reader = self.connect()
        before = len(self.master.asked)
        for _ in range(20):
            self.master.commit_change("web1")
            self.clock.advance(INTERVAL / 10)
        self.clock.pump([INTERVAL] * 10)
        self.assertEqual(reader.ids(), [f"{n}.1" for n in range(2, 22)])
        self.assertLessEqual(len(self.master.asked) - before, 5)

    def test_all_readers_share_one_request_to_the_master(self) -> None:
        for _ in range(3):
            self.connect()
        before = len(self.master.asked)
        self.change("web1")
        self.assertEqual(len(self.master.asked), before + 1)

    def test_only_the_head_is_sent_to_who_asks_for_it(self) -> None:
        reader = self.connect(method="HEAD")
        self.assertIn("text/event-stream", reader.head)
        self.assertEqual((reader.blocks(), len(self.hub)), ([], 0))


class RefusalTests(StreamCase):
    def status(self, *given: str) -> str:
        return self.connect(*given).head.split()[1]

    def test_it_takes_a_login(self) -> None:
        self.assertEqual(self.status("", ""), "401")
        self.assertEqual(self.status("", basic("auto", "wrong")), "401")

    def test_what_means_nothing_is_refused(self) -> None:
        for query in ("?since=x", "?kind=vm", "?since=1&since=2", "?colour=red"):
            self.assertEqual(self.status(query), "400", query)
        self.assertEqual(self.status("", AUTO + "Last-Event-ID: x\r\n"), "400")

    def test_one_reader_too_many_is_told_to_come_back(self) -> None:
        for _ in range(3):
            self.connect()
        reader = self.connect()
        self.assertIn("503", reader.head)
        self.assertIn("Retry-After: 30", reader.head)

    def test_without_a_master_there_is_no_stream_to_begin(self) -> None:
        self.master.go_away()
        self.assertEqual(self.status(), "503")

    def test_a_reader_that_may_not_read_any_more_is_disconnected(self) -> None:
        reader = self.connect()
        with open(self.asker.users._path, "w") as file:
            file.write(USERS.replace("xyz789 write", "changed-password write"))
        self.clock.advance(CHECK_INTERVAL + HEARTBEAT)
        self.assertTrue(reader.closed)
        self.assertEqual(len(self.hub), 0)


class TroubleTests(StreamCase):
    def test_a_master_that_restarts_leaves_no_gap(self) -> None:
        reader = self.connect()
        self.change("web1")
        self.master.go_away()
        self.turn()
        self.master.commit_change("web2")
        self.master.away = False
        self.clock.advance(RETRY_DELAY)
        self.turn()
        self.assertEqual(reader.ids(), ["2.1", "3.1"])

    def test_a_reader_that_is_ahead_of_this_process_is_waited_for(self) -> None:
        reader = self.connect()
        self.master.go_away()
        self.master.away = False
        self.change("web1")  # another process was told, and this one asks again a little later
        ahead = self.connect("?since=2")
        self.clock.advance(RETRY_DELAY)
        self.change("web2")
        self.assertEqual(ahead.events(), [("3.1", "instance")])
        self.assertEqual(reader.ids(), ["2.1", "3.1"])
        self.assertEqual(self.connect("?since=99").events(), [("3", "reset")])

    def test_an_api_that_restarts_leaves_no_gap(self) -> None:
        reader = self.connect()
        for _ in range(9):
            self.change("web1", "web2")
        before = reader.ids()[:7]
        self.restart_api()
        self.connect()  # it begins now, so the others have to be fetched
        again = self.connect(headers=f"{AUTO}Last-Event-ID: {before[-1]}\r\n")
        self.assertEqual(before + again.ids(), reader.ids())

    def test_a_history_that_the_master_gave_up_is_reset(self) -> None:
        reader = self.connect()
        self.master.log.restart(StreamPosition(0))
        self.turn()
        self.assertEqual(reader.events(), [("1", "ready"), ("0", "reset")])

    def test_who_hangs_up_is_forgotten(self) -> None:
        self.hang_up(self.connect().channel)
        self.assertEqual(len(self.hub), 0)

    def test_the_master_is_left_alone_when_nobody_has_read_for_a_while(self) -> None:
        self.hang_up(self.connect().channel)
        for _ in range(20):
            self.clock.advance(LINGER / 10)
            self.turn()
        before = len(self.master.asked)
        self.clock.advance(LINGER)
        self.assertEqual(len(self.master.asked), before)
        self.change("web1")
        self.assertEqual(self.connect("?since=1").ids(), ["2.1"])


class SlowReaderTests(StreamCase):
    max_bytes = 8000

    def test_a_slow_reader_gets_the_rest_when_it_has_read(self) -> None:
        reader = self.connect()
        reader.channel.pauseProducing()
        self.change("web1")
        self.change("web2")
        self.assertEqual(reader.ids(), [])
        reader.channel.resumeProducing()
        self.turn()
        self.assertEqual(reader.ids(), ["2.1", "3.1"])

    def test_one_that_falls_behind_is_told_its_position_and_disconnected(self) -> None:
        reader, other = self.connect(), self.connect()
        self.change("web1")
        reader.channel.pauseProducing()
        for _ in range(50):
            self.change("web1")
        self.assertEqual(reader.events()[-1], ("2", "lagged"))
        self.assertTrue(reader.closed)
        self.assertEqual(other.ids(), [f"{n}.1" for n in range(2, 53)])
        lagged = [each for each in self.hub.families() if each.name == "ganeti_event_lagged"]
        self.assertEqual((len(self.hub), lagged[0].samples[0].value), (1, 1))

    def test_one_that_reads_gets_more_at_once_than_is_kept(self) -> None:
        reader, other = self.connect(), self.connect()
        other.channel.pauseProducing()
        for _ in range(200):
            self.master.commit_change("web1")
        self.clock.pump([0.01] * 300)
        self.assertEqual(reader.ids(), [f"{n}.1" for n in range(2, 202)])
        self.assertTrue(other.closed)

    def test_one_that_comes_back_from_far_does_not_hold_up_others(self) -> None:
        reader = self.connect()
        for _ in range(15):
            self.change("web1")
        late = self.connect("?since=2")
        late.channel.pauseProducing()
        late.channel.resumeProducing()
        self.change("web2")
        self.assertEqual(reader.ids()[-1], "17.1")

    def test_one_that_reads_nothing_at_all_is_cut_off(self) -> None:
        reader = self.connect()
        reader.stop_reading()
        self.change("web1")
        self.clock.pump([1.0] * (int(TIMEOUTS.write) + 3))
        self.assertTrue(reader.transport.disconnected)

    def test_one_that_has_read_has_no_deadline_any_more(self) -> None:
        reader = self.connect()
        reader.stop_reading()
        self.change("web1")
        self.assertIsNotNone(reader.channel.deadline)
        reader.channel.resumeProducing()
        self.assertIsNone(reader.channel.deadline)


class BurstTests(StreamCase):
    """Twenty commits of a thousand changes each, within a second."""

    max_bytes = 16 << 20

    def burst(self) -> list[str]:
        self.master.page_events = MAX_PAGE_EVENTS
        names = [f"web{number}" for number in range(1000)]
        for _ in range(20):
            self.change(*names)
        self.clock.pump([0.05] * 20)
        return [f"{commit}.{number}" for commit in range(2, 22) for number in range(1, 1001)]

    def test_each_of_20000_events_in_a_second_comes_once(self) -> None:
        whole, one = self.connect(), self.connect("?name=web7")
        expected = self.burst()
        self.assertEqual(whole.ids(), expected)
        self.assertEqual(one.ids(), [each for each in expected if each.endswith(".8")])

    def test_one_that_begins_now_moves_nobody_who_has_not_got_all_yet(self) -> None:
        self.master.page_events = 10_000  # more at once than one delivery
        reader = self.connect()
        self.master.commit_change(*(f"web{number}" for number in range(2500)))
        self.clock.pump([0.0] * 5)
        self.assertLess(len(reader.ids()), 2500)
        late = self.connect()
        self.clock.pump([0.05] * 20)
        self.assertEqual(reader.ids(), [f"2.{number}" for number in range(1, 2501)])
        self.assertEqual(late.ids(), [])

    def test_who_comes_back_in_the_middle_of_them_misses_nothing(self) -> None:
        expected = self.burst()
        reader = self.connect("?since=10.500")
        self.clock.pump([0.05] * 20)
        self.assertEqual(reader.ids(), expected[expected.index("10.500") + 1 :])


steps = st.lists(
    st.sampled_from(["change", "change", "drop", "restart api", "master away", "master back"]),
    max_size=30,
)


class AnyTroubleTests(StreamCase):
    @given(steps)
    @settings(max_examples=60, deadline=None)
    def test_whatever_breaks_each_event_comes_once(self, sequence: list[str]) -> None:
        self.setUp()
        seen: list[str] = []
        last = "1"
        reader = self.connect("?since=1")
        for step in [*sequence, "master back", "drop"]:
            if step == "change":
                self.change("web1", "web2")
            elif step.startswith("master"):
                self.master.go_away()
                self.master.away = step == "master away"
                self.clock.advance(RETRY_DELAY)
            else:
                seen += reader.ids()
                last = reader.last_event_id or last
                self.hang_up(reader.channel)
                if step == "restart api":
                    self.hub.stop()
                    self.restart_api()
                reader = self.connect(headers=f"{AUTO}Last-Event-ID: {last}\r\n")
        seen += reader.ids()
        end = self.master.log.end.position
        self.assertEqual(seen, [f"{p}.{n}" for p in range(2, end + 1) for n in (1, 2)])


moves = st.lists(
    st.tuples(
        st.sampled_from(
            ["change", "change", "burst", "drop", "pause", "go on", "restart api", "away", "back"]
        ),
        st.integers(0, 2),
    ),
    max_size=40,
)


class SeveralReadersTests(StreamCase):
    """Readers that share a cursor, or have one of their own, each with its own troubles."""

    queries = ("", "?name=web1", "?name=web2&name=web3")
    max_bytes = 1 << 22

    @given(moves)
    @settings(max_examples=60, deadline=None)
    def test_each_gets_what_it_selects_once(self, sequence: list[tuple[str, int]]) -> None:
        self.setUp()
        self.seen: list[list[str]] = [[], [], []]
        self.last = ["1", "1", "1"]
        self.readers = [self.come_back(number) for number in range(3)]
        for step, number in [*sequence, *END]:
            match step:
                case "change":
                    self.change("web1", "web2")
                case "burst":
                    for _ in range(30):
                        self.master.commit_change("web3", "web1")
                    self.turn()
                case "drop":
                    self.lose(number)
                case "pause":
                    self.readers[number].channel.pauseProducing()
                case "go on":
                    self.readers[number].channel.resumeProducing()
                case "restart api":
                    for each in range(3):
                        self.take(each)
                        self.hang_up(self.readers[each].channel)
                    self.hub.stop()
                    self.restart_api()
                    self.readers = [self.come_back(each) for each in range(3)]
                case _:
                    self.master.go_away()
                    self.master.away = step == "away"
                    self.clock.advance(RETRY_DELAY)
            self.turn()
        self.clock.pump([0.05] * 40)
        for number, names in enumerate(({"web1", "web2", "web3"}, {"web1"}, {"web2", "web3"})):
            self.take(number)
            self.assertEqual(self.seen[number], self.expected(names))

    def come_back(self, number: int) -> Reader:
        headers = f"{AUTO}Last-Event-ID: {self.last[number]}\r\n"
        return self.connect(self.queries[number], headers)

    def take(self, number: int) -> None:
        """Note what a reader has received, which it is then connected without."""
        self.seen[number] += self.readers[number].ids()
        self.last[number] = self.readers[number].last_event_id or self.last[number]

    def lose(self, number: int) -> None:
        self.take(number)
        self.hang_up(self.readers[number].channel)
        self.readers[number] = self.come_back(number)

    def expected(self, names: set[str]) -> list[str]:
        page = self.master.log.page(StreamPosition(1), 10**6, 1 << 30)
        return [str(event.cursor) for event in page.events if names.intersection(event.names)]


END = [("back", 0), *(("drop", number) for number in range(3))]
"""The master is there in the end, and nobody's connection is one that was refused."""


class MemoryForm:
    """An encoding in memory; ``written`` is what a client gets, and ``ends`` why its stream did."""

    def __init__(self) -> None:
        self.begun = 0
        self.written: list[bytes] = []
        self.ends: list[str] = []

    def encode(self, events: Sequence[Event]) -> bytes:
        return b"".join(event.data for event in events)

    def begin(self) -> None:
        self.begun += 1

    def notice(self, kind: str, position: StreamPosition) -> bytes:
        return f"{kind} {position}".encode()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def finish(self, kind: str) -> None:
        self.ends.append(kind)


class SubscriberTests(EventCase):
    """A stream without HTTP around it; ``refusal`` is why its client may not read any more."""

    def setUp(self) -> None:
        super().setUp()
        self.channel, self.transport = self.asker.connect()
        self.asked = ApiRequest(self.channel)
        self.form = MemoryForm()
        self.refusal: BaseException | None = None
        form: Any = self.form
        everything = EventFilter.of((), (), ())
        self.stream = EventStream(self.asked, form, self.hub, everything, self.confirm)

    async def confirm(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def subscribe(self, since: str | None = None) -> None:
        position = None if since is None else StreamPosition.parse(since)
        self.successResultOf(Deferred.fromCoroutine(self.hub.subscribe(self.stream, position)))
        self.turn()

    def heartbeat(self) -> None:
        self.stream.heartbeat(StreamPosition(7))

    def test_the_start_is_told_to_one_that_gave_no_position(self) -> None:
        self.subscribe()
        self.assertEqual((self.form.begun, self.form.written), (1, [b"ready 1"]))

    def test_one_that_goes_on_is_told_nothing(self) -> None:
        self.subscribe("1")
        self.assertEqual((self.form.begun, self.form.written), (1, []))

    def test_a_lost_position_is_told_instead(self) -> None:
        self.stream.open(StreamPosition(9), ready=True, reset=True)
        self.assertEqual(self.form.written, [b"reset 9"])

    def test_a_heartbeat_asks_whether_the_client_may_still_read(self) -> None:
        for passing in (None, MasterNotRunning("the master daemon is not running")):
            self.refusal = passing
            self.heartbeat()
        self.assertEqual((self.form.written, self.form.ends), ([b"heartbeat 7"] * 2, []))
        self.assertFalse(self.transport.disconnecting)

    def test_a_client_that_may_not_is_disconnected(self) -> None:
        self.subscribe()
        for self.refusal in (AccessDenied("no"), Unauthenticated("no"), CancelledError()):
            self.heartbeat()
        self.assertEqual((self.form.ends, len(self.hub)), (["refused"], 0))

    def test_one_whose_question_was_canceled_is_disconnected(self) -> None:
        self.subscribe()
        self.refusal = CancelledError()
        self.heartbeat()
        self.assertEqual((self.form.ends, len(self.hub)), (["refused"], 0))

    def test_one_of_whom_nothing_can_be_known_is_disconnected(self) -> None:
        self.subscribe()
        self.refusal = RuntimeError("a bug")
        self.heartbeat()
        self.assertEqual(self.form.ends, ["refused"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_one_that_lags_gets_its_own_position_as_the_last(self) -> None:
        self.subscribe()
        self.stream.cursor = StreamPosition(3)
        self.stream.lag()
        self.assertEqual(self.form.written[-1], b"lagged 3")
        self.assertEqual((self.form.ends, len(self.hub)), (["lagged"], 0))

    def test_what_a_paused_client_is_sent_has_a_deadline(self) -> None:
        self.subscribe()
        self.stream.pauseProducing()
        self.stream.send(b"x")
        self.assertIsNotNone(self.channel.deadline)
        self.assertTrue(self.stream.paused)
        self.stream.resumeProducing()
        self.assertFalse(self.stream.paused)

    def test_a_client_of_a_full_connection_begins_paused(self) -> None:
        self.channel.congested = True
        self.subscribe()
        self.assertTrue(self.stream.paused)

    def test_a_lost_connection_ends_the_subscription(self) -> None:
        self.subscribe()
        self.asked.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((len(self.hub), self.form.ends), (0, []))

    def test_a_connection_that_must_be_closed_ends_it_too(self) -> None:
        self.subscribe()
        self.stream.stopProducing()
        self.assertEqual((len(self.hub), self.form.ends), (0, []))

    def test_an_end_after_the_end_writes_nothing(self) -> None:
        self.subscribe()
        self.asked.connectionLost(Failure(ConnectionDone()))
        self.refusal = AccessDenied("no")
        self.successResultOf(Deferred.fromCoroutine(self.stream.confirm()))
        self.assertEqual(self.form.ends, [])
