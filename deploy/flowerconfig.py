"""What Flower starts with: closed. Read by ``celery -A workers.app flower --conf=...``.

Flower itself takes any option from the environment (``FLOWER_BASIC_AUTH=user:password``), then
from this file, then from the command line: the last wins.
"""

import os

# Flower's own default is every interface. Elsewhere: `--address`, behind a proxy that has TLS.
address = "127.0.0.1"

# Flower opens its API to anybody if this is set anywhere; ours opens to credentials only.
os.environ.pop("FLOWER_UNAUTHENTICATED_API", None)

# An empty variable would stand for an empty password, and open the API with it.
if not os.environ.get("FLOWER_BASIC_AUTH"):
    basic_auth: list[str] = []

# Bounds its memory, some 7 KB a task once it knows so many; the default is ten times that.
max_tasks = int(os.environ.get("FLOWER_MAX_TASKS") or 10_000)

# Its history file is a pickle: whoever can write the file runs code here.
persistent = False

# With the arguments: they are keys that people can read.
tasks_columns = "name,uuid,state,args,kwargs,received,runtime,worker"
