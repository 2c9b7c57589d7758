"""A producer in a dozen lines; start `cachekeeper up` (or `make run`) first."""

from cachekeeper import Cache

TEXT = {"bread": "Buy bread", "milk": "Buy milk"}  # stands for a database

with Cache() as cache:  # finds the deployment on this machine, or the one in the environment
    notes = cache.namespace("note")
    pages = cache.namespace("page", serializer="json")

    @notes.loader
    def read_note(name: str) -> bytes:
        return TEXT[name].encode()

    @pages.loader
    def make_page(_: str) -> list[str]:  # what it reads here, its page depends on
        return [notes.get(note).decode() for note in TEXT]

    print(pages.get("all"))
    TEXT["milk"] = "Buy oat milk"
    print(pages.get("all"))  # from memory: nobody has said that it changed
    receipt = cache.invalidate("note:milk", consistency="strict").wait(10, purged=True)
    print(receipt.status, receipt.affected, receipt.verified)
    print(pages.get("all"))
