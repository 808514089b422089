"""A bounded memory that threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from service.memory import BoundedMemory


def test_beyond_its_size_it_forgets_what_was_stored_first() -> None:
    memory: BoundedMemory[str, int] = BoundedMemory(2)
    memory["a"], memory["b"], memory["a"], memory["c"] = 1, 2, 3, 4
    assert (memory["a"], memory["b"], memory["c"]) == (3, None, 4)


def test_with_size_0_it_keeps_nothing() -> None:
    memory: BoundedMemory[str, int] = BoundedMemory(0)
    memory["a"] = 1
    assert memory["a"] is None
    assert len(memory) == 0


def test_a_value_is_taken_once() -> None:
    memory: BoundedMemory[str, int] = BoundedMemory(2)
    memory["a"] = 1
    assert (memory.take("a"), memory.take("a"), memory["a"]) == (1, None, None)


def test_threads_share_it(threads_that_switch_often: ThreadPoolExecutor) -> None:
    memory: BoundedMemory[int, int] = BoundedMemory(10)

    def read_and_write(first: int) -> set[bool]:
        right = set()
        for number in range(first, first + 20_000):
            right.add(memory[number % 30] in (None, number % 30))
            memory[number % 30] = number % 30
            right.add(memory.take(number % 7) in (None, number % 7))
        return right

    assert set.union(*threads_that_switch_often.map(read_and_write, range(4))) == {True}
    for number in range(30):
        memory[number] = number
    assert len(list(memory)) == len(memory) == 10
