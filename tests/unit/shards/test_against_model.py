"""Any sequence of writes, checkpoints, merges, reopenings and crashes: the shard equals a dictionary."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.filters import InFilter, RangeFilter, TermFilter
from services.shards.domain.filters import excluded_by
from services.shards.searching import ViewQuery
from tests.stamped import change
from tests.unit.shards.builders import NOW, attributes, log, message, opened, stored
from tests.unit.shards.fake import FakeShard

PRODUCTS = [f"p{number}" for number in range(8)]
QUERIES = np.eye(4, dtype=np.float32)

vectors = st.tuples(*[st.floats(-1, 1, width=16)] * 4).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.1)
units = vectors.map(lambda v: v / np.linalg.norm(v))
fields = st.fixed_dictionaries(
    {},
    optional={
        "price": st.integers(-3, 3) | st.floats(-3, 3).filter(np.isfinite),
        "color": st.sampled_from(["red", "blue", "rëd", ""])
        | st.lists(st.sampled_from(["red", "blue"])).map(tuple),
        "new": st.booleans(),
    },
)
writes = st.builds(
    lambda product_id, found, attributes, source, epoch: message(
        product_id, *found, fields=attributes, source=source, epoch=epoch, dimensions=4
    ),
    st.sampled_from(PRODUCTS),
    st.lists(units, max_size=3),
    fields,
    st.integers(0, 20),
    st.integers(1, 2),
)
deletes = st.builds(
    lambda product_id, source: message(product_id, source=source, deleted=True, dimensions=4),
    st.sampled_from(PRODUCTS),
    st.integers(0, 20),
)
patched = st.dictionaries(
    st.sampled_from(["price", "color", "new", "color.deep"]),
    st.none() | st.integers(-3, 3) | st.booleans() | st.sampled_from(["red", "blue", ("red", 2), (1, 2)]),
    min_size=1,
)
patches = st.builds(
    lambda product_id, version, attributes_, epoch: attributes(
        product_id, change("patch", version, product_id, **attributes_), source=version, epoch=epoch
    ),
    st.sampled_from(PRODUCTS),
    st.integers(1, 9),
    patched,
    st.integers(1, 2),
)
batches = st.lists(writes | deletes | patches | st.sampled_from(PRODUCTS), max_size=6)
steps = st.lists(batches | st.sampled_from(["checkpoint", "merge", "reopen", "crash"]), max_size=12)
bounds = st.none() | st.integers(-3, 3) | st.floats(-3, 3).filter(np.isfinite)
filters = st.lists(
    st.builds(
        TermFilter, op=st.just("term"), field=st.just("color"), value=st.sampled_from(["red", "", "no"])
    )
    | st.builds(TermFilter, op=st.just("term"), field=st.just("new"), value=st.booleans())
    | st.builds(
        InFilter, op=st.just("in"), field=st.just("price"), values=st.lists(st.integers(-3, 3)).map(tuple)
    )
    | st.builds(RangeFilter, op=st.just("range"), field=st.just("price"), gte=st.integers(-3, 3), lt=bounds)
    | st.builds(RangeFilter, op=st.just("range"), field=st.just("price"), gt=bounds, lte=st.floats(-3, 3))
    | st.builds(
        RangeFilter, op=st.just("range"), field=st.just("color"), gte=st.sampled_from(["blue", "rf"])
    ),
    max_size=2,
)


class Rig:
    """A real shard and its model, fed the same log; a crash loses what was not checkpointed, not the log."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.epoch = 1
        self.shard = self.open()
        self.model = FakeShard()
        self.log = []

    def open(self):
        return opened(self.root, epoch=self.epoch, seal_rows=16)

    def do(self, step) -> None:
        match step:
            case "checkpoint":
                self.shard.checkpoint(NOW)
            case "merge":
                self.shard.merge()
            case "reopen":
                self.shard.checkpoint(NOW)
                self.reopen()
            case "crash":
                self.reopen()
            case batch:
                entries = log(*batch, start=len(self.log))
                self.log += entries
                self.shard.apply(entries, len(self.log))
                self.model.apply(entries, len(self.log))

    def reopen(self) -> None:
        self.shard.close()
        self.epoch += 1
        self.shard = self.open()
        assert not self.shard.refusals
        done = self.shard.view.next_offset or 0
        self.shard.apply(self.log[done:], len(self.log))

    def check(self, conditions) -> None:
        documents = stored(self.shard)
        assert documents.keys() == self.model.products.keys()
        for product_id, document in documents.items():
            assert document["fields"] == {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self.model.record(product_id).document.fields.items()
            }
        for vector in QUERIES:
            for exact in (False, True):
                query = ViewQuery(vector=vector, k=3, mode="dense", exact=exact, filters=conditions)
                self.compare(query)
        for text in ("red", "blue red"):
            hits = self.shard.view.search(ViewQuery(text=text, k=3, mode="lexical", filters=conditions))
            wanted = self.model.words(text, conditions, k=3)
            assert sorted((hit.lexical for hit in hits), reverse=True) == pytest.approx(
                [score for _, score in wanted], rel=1e-5
            )

    def compare(self, query) -> None:
        found = self.shard.view.search(query)
        wanted = self.model.nearest(query)
        assert [hit.dense for hit in found] == pytest.approx([score for _, score in wanted], abs=1e-4)
        for hit in found:
            entry = self.model.products[hit.product_id]
            assert hit.offset == entry.offset
            assert hit.dense == pytest.approx(
                float(entry.vectors[hit.passage].astype(np.float32) @ query.vector), abs=1e-4
            )
            assert not excluded_by(query.filters, self.model.record(hit.product_id).document.fields)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps, conditions=filters)
def test_a_shard_equals_a_dictionary_whatever_happens(place, steps, conditions):
    root = Path(tempfile.mkdtemp(dir=place))
    rig = Rig(root)
    try:
        for step in steps:
            rig.do(step)
        rig.check(conditions)
        rig.do("reopen")
        rig.check(conditions)
    finally:
        rig.shard.close()
        shutil.rmtree(root)


def test_filters_agree_with_their_meaning_on_many_products(place):
    rng = np.random.default_rng(7)
    rig = Rig(place)
    colours = ["red", "blue", "dark red", 'qu"ote] TO [', "ünï", "x" * 300]
    for start in range(0, 300, 50):
        rig.do(
            [
                message(
                    f"p{number}",
                    *(each / np.linalg.norm(each) for each in rng.standard_normal((1 + number % 3, 4))),
                    fields={
                        "price": float(rng.choice([-1e300, -2.5, -0.0, 0, 3, 1e-300, 7, 2**60])),
                        "dotted.näme é": str(rng.choice(colours)),
                        "flag": bool(rng.integers(2)),
                        "sizes": tuple(int(each) for each in rng.integers(0, 5, 2)),
                    },
                )
                for number in range(start, start + 50)
            ]
        )
    for condition in (
        *(TermFilter(op="term", field="dotted.näme é", value=colour) for colour in colours),
        TermFilter(op="term", field="price", value=0),
        TermFilter(op="term", field="price", value=3),
        TermFilter(op="term", field="flag", value=1),
        TermFilter(op="term", field="nothing", value=1),
        InFilter(op="in", field="sizes", values=(0, 4)),
        InFilter(op="in", field="sizes", values=()),
        RangeFilter(op="range", field="price", gte=-2.5, lt=3),
        RangeFilter(op="range", field="price", gt=-0.0),
        RangeFilter(op="range", field="price", lte=0, gte=-0.0),
        RangeFilter(op="range", field="sizes", gt=1, gte=1, lte=2, lt=9),
        RangeFilter(op="range", field="dotted.näme é", gte="c", lt="s"),
        RangeFilter(op="range", field="flag", gte=0),
        RangeFilter(op="range", field="price", gte=5, lt=2),
    ):
        for exact in (False, True):
            rig.compare(ViewQuery(vector=QUERIES[0], k=400, mode="dense", exact=exact, filters=(condition,)))
        passing = {
            product_id
            for product_id in rig.model.products
            if not excluded_by((condition,), rig.model.record(product_id).document.fields)
        }
        allowed = {
            part.product_id(place)
            for part in rig.shard.view.parts
            for place in np.flatnonzero(part.allowed((condition,))).tolist()
        }
        assert allowed == passing, condition
    rig.shard.close()
