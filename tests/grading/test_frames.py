"""Messages between processes arrive whole, in order, and no longer than wanted."""

import os

import pytest

from selfcorrect.grading import frames

MESSAGES = [{"do": "call"}, [], "é\x00", 2**70, {"long": "x" * 300_000}]


def stream(data, most):
    """A stream that gives ``data``, ``most`` bytes at a time, and a list of what is written."""
    left, written = bytearray(data), []

    def read(size):
        given = bytes(left[: min(size, most)])
        del left[: len(given)]
        return given

    def write(data):
        written.append(bytes(data[:most]))
        return len(written[-1])

    return frames.Stream(read, write), written


def sent(*messages):
    out, written = stream(b"", 10**9)
    for message in messages:
        out.send(message)
    return b"".join(written)


@pytest.mark.parametrize("most", [1, 3, 10**9])
def test_messages_arrive_as_sent_however_they_are_cut(most):
    out, written = stream(b"", most)
    for message in MESSAGES:
        out.send(message)
    assert b"".join(written) == sent(*MESSAGES)
    back, _ = stream(b"".join(written) + b".", most)
    assert [back.receive() for _ in MESSAGES] == MESSAGES
    assert back.take(1) == b"."
    with pytest.raises(EOFError):
        back.take(1)


@pytest.mark.parametrize("cut", [1, 3, 4, 7])
def test_a_message_that_breaks_off_is_the_end(cut):
    with pytest.raises(EOFError):
        stream(sent("message")[:cut], 2)[0].receive()


def test_a_message_that_is_too_long_is_refused_before_it_is_read():
    data = sent("ten bytes!")
    assert stream(data, 4)[0].receive(longest=len(data) - 4) == "ten bytes!"
    with pytest.raises(frames.TooLongError) as caught:
        stream(data[:4], 4)[0].receive(longest=len(data) - 5)
    assert caught.value.size == len(data) - 4


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x01{", b"\x00\x00\x00\x02\xff\xff"])
def test_what_is_no_message_is_a_value_error(data):
    with pytest.raises(ValueError):
        stream(data, 100)[0].receive()


def test_a_descriptor_carries_messages():
    ours, theirs = os.pipe()
    frames.over(theirs).send(["hello"])
    os.close(theirs)
    back = frames.over(ours)
    assert back.receive() == ["hello"]
    with pytest.raises(EOFError):
        back.receive()
    os.close(ours)
