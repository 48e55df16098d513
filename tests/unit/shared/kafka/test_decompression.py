"""What comes out of a codec, in pieces: the whole, or an error after what came before the fault."""

import gzip

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kafka.decompression import LARGEST_BLOCK_BYTES, PIECE_BYTES, CodecError, pieces
from tests.raw_batches import CODECS

contents = st.one_of(
    st.binary(max_size=300), st.builds(bytes, st.integers(0, 3 * PIECE_BYTES)), st.just(b'{"a":1}' * 99_999)
)


@given(content=contents, codec=st.sampled_from([*CODECS]), times=st.integers(1, 3))
def test_what_was_compressed_comes_out_in_pieces_however_many_streams_there_are(content, codec, times):
    if codec == 2:
        times = 1  # Snappy's blocks are all of one stream
    out = list(pieces(codec, CODECS[codec](content) * times))
    assert b"".join(out) == content * times
    assert max(map(len, out), default=0) <= PIECE_BYTES


@given(content=st.binary(min_size=1, max_size=300))
def test_a_block_of_snappy_without_a_frame_is_read_as_well(content):
    assert b"".join(pieces(2, bytes(cramjam.snappy.compress_raw(content)))) == content


@given(content=st.binary(min_size=20, max_size=300), codec=st.integers(1, 4), cut=st.integers(1, 8))
def test_what_breaks_off_is_said(content, codec, cut):
    with pytest.raises(CodecError):
        list(pieces(codec, CODECS[codec](content)[:-cut]))


@given(rubbish=st.binary(max_size=200), codec=st.integers(0, 8))
def test_whatever_comes_nothing_but_the_error_is_raised(rubbish, codec):
    for start in (
        b"",
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18\x60\x70\x73",
        b"\x82SNAPPY\0",
    ):
        try:
            list(pieces(codec, start + rubbish))
        except CodecError:
            continue


def test_a_block_that_would_be_too_large_is_refused_before_it_is_made():
    length = LARGEST_BLOCK_BYTES + 1
    announced = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14 & 0x7F | 0x80])
    with pytest.raises(CodecError, match="one block of"):
        list(pieces(2, announced + bytes([length >> 21]) + b"\0" * 20))


def test_a_piece_is_bounded_however_much_is_to_come():
    assert len(next(pieces(1, gzip.compress(bytes(50 * PIECE_BYTES))))) <= PIECE_BYTES
    with pytest.raises(CodecError, match="codec 7 is none of Kafka's"):
        list(pieces(7, b""))
