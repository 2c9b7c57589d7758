"""What the example with SQLAlchemy does to transactions of every kind, by the testing kit."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from cachekeeper.testing import MemoryCache, assert_invalidated, assert_not_invalidated

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sqlalchemy_session.py"


class AnswerLost(Exception):
    """As if the connection broke during COMMIT."""


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sqlalchemy_session", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cache() -> Iterator[MemoryCache]:
    with MemoryCache() as cache:
        yield cache


@pytest.fixture
def session(example: ModuleType, cache: MemoryCache) -> Iterator[Session]:
    """Of a database with one note, whose invalidations are still to come."""
    engine = create_engine("sqlite://")
    example.Base.metadata.create_all(engine)
    with Session(engine) as first, first.begin():
        first.add(example.Note(name="milk", text="Buy milk"))
    sessions = sessionmaker(engine)
    example.invalidate_with(cache, sessions)
    with sessions() as session:
        yield session
    engine.dispose()


def edit(session: Session, example: ModuleType) -> None:
    session.get_one(example.Note, "milk").text = "Buy oat milk"


def test_a_commit_invalidates_what_it_flushed_before_and_at_its_end(
    session: Session, example: ModuleType, cache: MemoryCache
) -> None:
    edit(session, example)
    session.flush()
    session.add(example.Note(name="bread", text="Buy bread"))
    assert_not_invalidated(cache)
    session.commit()
    assert_invalidated(cache, "note:milk", "note:bread", consistency="strict")
    assert len(cache.invalidations) == len(session.info["receipts"]) == 1


def test_a_session_commits_again_and_again(
    session: Session, example: ModuleType, cache: MemoryCache
) -> None:
    for text in ("one", "two"):
        session.get_one(example.Note, "milk").text = text
        session.commit()
    session.commit()
    assert [request.keys for request in cache.invalidations] == [("note:milk",)] * 2


def test_a_rollback_invalidates_nothing(
    session: Session, example: ModuleType, cache: MemoryCache
) -> None:
    edit(session, example)
    session.flush()
    session.rollback()
    session.commit()
    assert_not_invalidated(cache)


def test_a_savepoint_is_part_of_its_transaction(
    session: Session, example: ModuleType, cache: MemoryCache
) -> None:
    with session.begin_nested():
        edit(session, example)
    with pytest.raises(IntegrityError), session.begin_nested():
        session.add(example.Note(name="bread", text=None))
    assert_not_invalidated(cache)
    session.commit()
    assert_invalidated(cache, "note:milk")
    assert len(cache.invalidations) == 1


def test_a_flush_that_fails_at_the_end_invalidates_nothing(
    session: Session, example: ModuleType, cache: MemoryCache
) -> None:
    edit(session, example)
    session.flush()
    session.add(example.Note(name="bread", text=None))
    with pytest.raises(IntegrityError):
        session.commit()
    session.rollback()
    session.commit()
    assert_not_invalidated(cache)


def test_a_commit_whose_answer_is_lost_is_left_prepared(
    session: Session, example: ModuleType, cache: MemoryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    monkeypatch.setattr(cache.stores.prepared, "cancel", cancelled.extend)

    def lose_the_answer(_: object) -> None:
        raise AnswerLost

    engine = session.get_bind()
    event.listen(engine, "commit", lose_the_answer)
    edit(session, example)
    with pytest.raises(AnswerLost):
        session.commit()
    session.rollback()
    assert_not_invalidated(cache)
    assert cancelled == []
    event.remove(engine, "commit", lose_the_answer)
