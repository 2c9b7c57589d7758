"""A producer with a database: what a SQLAlchemy session commits is invalidated, whoever dies.

Needs SQLAlchemy; start `cachekeeper up` (or `make run`) first.
"""

from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from cachekeeper import Cache, UnitOfWork

UNIT = "unit of work"  # of the transaction that a session is in


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


def invalidate_with(cache: Cache, sessions: sessionmaker[Session]) -> None:
    """From here on, what a session commits is invalidated with it."""

    @event.listens_for(sessions, "after_flush")
    def collect(session: Session, _: object) -> None:
        # An UPDATE that you write yourself flushes nothing: call `unit_of(session).invalidate`.
        for row in {*session.new, *session.dirty, *session.deleted}:
            if isinstance(row, Note):
                unit_of(session).invalidate(f"note:{row.name}")

    def unit_of(session: Session) -> UnitOfWork:
        if UNIT not in session.info:
            session.info[UNIT] = cache.unit_of_work(consistency="strict", reason="a commit")
        unit: UnitOfWork = session.info[UNIT]
        return unit

    @event.listens_for(sessions, "before_commit")
    def prepare(session: Session) -> None:
        if not session.in_nested_transaction():  # a savepoint is part of its transaction
            session.flush()  # which would come after this event
            unit_of(session).prepare()

    @event.listens_for(sessions, "after_commit")
    def commit(session: Session) -> None:
        if not session.in_nested_transaction():
            session.info["receipts"] = session.info.pop(UNIT).commit()

    @event.listens_for(sessions, "after_rollback")
    def rollback(session: Session) -> None:
        if session.in_nested_transaction():
            return
        unit = session.info.pop(UNIT, None)
        if unit and not unit.prepared:
            unit.rollback()
        # One that is prepared has seen its COMMIT fail. If only the answer was lost the database
        # has changed: the unit is left to its deadline.


def main() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    with Cache() as cache:
        invalidate_with(cache, sessions)
        notes = cache.namespace("note")

        @notes.loader
        def read_note(name: str) -> bytes:
            with sessions() as session:
                return session.get_one(Note, name).text.encode()

        with sessions() as session:
            session.add(Note(name="milk", text="Buy milk"))
            session.commit()
            session.info["receipts"][0].wait(10)
        print(notes.get("milk"))

        with sessions() as session:
            session.get_one(Note, "milk").text = "Buy beer"
            session.flush()
            session.rollback()
        print(notes.get("milk"), cache.stats()["memory"], "read from memory")

        with sessions() as session:
            session.get_one(Note, "milk").text = "Buy oat milk"
            session.commit()
            (receipt,) = session.info["receipts"]
        print(receipt.wait(10).status, receipt.wait(10).names)
        print(notes.get("milk"))


if __name__ == "__main__":
    main()
