"""The one inner product of a float16 row and a float32 query, written in LLVM's own words.

A product must score the same to the last bit in whatever part, partition, order or kernel it is looked at.
A loop that a compiler vectorises has no such promise: it adds in another order as soon as the loop around
it changes. Here the order is written down: sixteen lanes, four sums a lane, fused multiply-add, halving at
the end. Processors with AVX-512 do a step in one instruction, others in two or four, with the same bits.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES, SUMS = 16, 4
_INT, _LANE = ir.IntType(64), ir.IntType(32)
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()
_HALVES, _FLOATS = ir.VectorType(_HALF, LANES), ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_FLOATS, [0.0] * LANES)


def _int(value: int) -> Any:  # Any: llvmlite has no types
    return ir.Constant(_INT, value)


def _fma(builder: Any, kind: Any, name: str, *values: Any) -> Any:  # Any: llvmlite has no types
    signature = ir.FunctionType(kind, [kind, kind, kind])
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(function, values)


def _add_lanes(builder: Any, at: Any, total: Any, *, halves: Any, floats: Any) -> None:  # Any: llvmlite
    """Add the products of sixteen neighbours to the sixteen lanes of `total`."""
    row = builder.load(builder.bitcast(builder.gep(halves, [at]), _HALVES.as_pointer()))
    query = builder.load(builder.bitcast(builder.gep(floats, [at]), _FLOATS.as_pointer()))
    row.align, query.align = 2, 4
    widened = builder.fpext(row, _FLOATS)
    builder.store(_fma(builder, _FLOATS, "llvm.fma.v16f32", widened, query, builder.load(total)), total)


def _across(builder: Any, lanes: Any) -> Any:  # Any: llvmlite has no types
    """Return the sum of the lanes: the upper half onto the lower one, until one is left."""
    width = LANES
    while width > 1:
        width //= 2
        nothing = ir.Constant(lanes.type, ir.Undefined)
        lower, upper = (
            builder.shuffle_vector(
                lanes, nothing, ir.Constant(ir.VectorType(_LANE, width), [*range(start, start + width)])
            )
            for start in (0, width)
        )
        lanes = builder.fadd(lower, upper)
    return builder.extract_element(lanes, ir.Constant(_LANE, 0))


def _dot(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # Any: numba's protocol
    halves = builder.inttoptr(arguments[0], _HALF.as_pointer())
    floats = builder.inttoptr(arguments[1], _FLOAT.as_pointer())
    length = arguments[2]
    step = LANES * SUMS
    whole, even = (builder.and_(length, _int(~(size - 1))) for size in (step, LANES))
    sums = [cgutils.alloca_once(builder, _FLOATS) for _ in range(SUMS)]
    for one in sums:
        builder.store(_ZERO, one)
    with cgutils.for_range_slice(builder, _int(0), whole, _int(step), intp=_INT) as (at, _):
        for number, one in enumerate(sums):
            _add_lanes(builder, builder.add(at, _int(number * LANES)), one, halves=halves, floats=floats)
    with cgutils.for_range_slice(builder, whole, even, _int(LANES), intp=_INT) as (at, _):
        _add_lanes(builder, at, sums[0], halves=halves, floats=floats)
    first, second, third, fourth = (builder.load(one) for one in sums)
    lanes = builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth))
    total = cgutils.alloca_once(builder, _FLOAT)
    builder.store(_across(builder, lanes), total)
    with cgutils.for_range_slice(builder, even, length, _int(1), intp=_INT) as (at, _):
        half = builder.fpext(builder.load(builder.gep(halves, [at])), _FLOAT)
        query = builder.load(builder.gep(floats, [at]))
        builder.store(_fma(builder, _FLOAT, "llvm.fma.f32", half, query, builder.load(total)), total)
    return builder.load(total)


def _fetch(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # Any: numba's protocol
    pointer = ir.IntType(8).as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [pointer, _LANE, _LANE, _LANE])
    function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0i8")
    for_reading, keep, data = (ir.Constant(_LANE, value) for value in (0, 3, 1))
    builder.call(function, [builder.inttoptr(arguments[0], pointer), for_reading, keep, data])
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def half_dot(_typing: Any, _halves: Any, _floats: Any, _length: Any) -> Any:  # Any: numba's protocol
    """Return the inner product (float32) of `length` float16 numbers and as many float32 ones, by address."""
    return types.float32(types.intp, types.intp, types.intp), _dot


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def prefetch(_typing: Any, _address: Any) -> Any:  # Any: numba's protocol
    """Ask for a cache line that will be read soon."""
    return types.void(types.intp), _fetch
