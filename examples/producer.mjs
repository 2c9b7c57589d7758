// A producer in another language: Node.js 18 or later, nothing to install. docs/wire.md explains.
//
//   node examples/producer.mjs note:milk [KEY ...]
//
// Invalidates the keys (strict), waits for the receipt and prints it; exits with 0 once it is done.

import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";

const LOCAL = "redis://127.0.0.1:6399/0"; // where `cachekeeper up` listens
const BROKER_URL = process.env.CACHEKEEPER_BROKER_URL ?? LOCAL;
const CACHE_URL = process.env.CACHEKEEPER_CACHE_URL ?? LOCAL;
const DEPLOYMENT = process.env.CACHEKEEPER_DEPLOYMENT ?? "cachekeeper";
const QUEUE = "invalidation.immediate";
const WAIT_MS = 10_000;
const ANSWER_MS = 5_000; // longer than the second that BLPOP waits
const ATTEMPTS = 3;

/** One connection that speaks RESP 2: as much of it as a producer needs. */
class Redis {
  #socket;
  #received = Buffer.alloc(0);
  #waiting = []; // who asked, in order

  static async open(url) {
    const { protocol, hostname, port, username, password, pathname } = new URL(url);
    const where = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 6379) };
    const dial = protocol === "rediss:" ? connectTls : connect;
    const redis = new Redis(dial({ ...where, servername: where.host }));
    try {
      if (password) {
        const user = username ? [decodeURIComponent(username)] : [];
        await redis.ask("AUTH", ...user, decodeURIComponent(password));
      }
      await redis.ask("SELECT", pathname.slice(1) || "0");
    } catch (error) {
      redis.close();
      throw error;
    }
    return redis;
  }

  constructor(socket) {
    this.#socket = socket;
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("no answer in time")));
    socket.on("data", (chunk) => this.#hear(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the connection was closed")));
  }

  /** The reply to one command. */
  ask(...words) {
    const parts = words.map((word) => Buffer.from(String(word)));
    const lines = parts.flatMap((part) => [`$${part.length}\r\n`, part, "\r\n"]);
    const sent = [`*${parts.length}\r\n`, ...lines].map((line) => Buffer.from(line));
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error("the connection was closed"));
      this.#waiting.push({ resolve, reject });
      this.#socket.write(Buffer.concat(sent));
    });
  }

  close() {
    this.#socket.destroy();
  }

  #hear(chunk) {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (let found; this.#waiting.length && (found = parse(this.#received, 0)); ) {
      this.#received = this.#received.subarray(found.end);
      const { resolve, reject } = this.#waiting.shift();
      if (found.value instanceof Error) reject(found.value);
      else resolve(found.value);
    }
  }

  #fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

/** The reply that begins at `at` and where it ends; undefined while part of it is still to come. */
function parse(bytes, at) {
  const eol = bytes.indexOf("\r\n", at);
  if (eol < 0) return undefined;
  const kind = String.fromCharCode(bytes[at]);
  const head = bytes.toString("utf8", at + 1, eol);
  let end = eol + 2;
  if (kind === "+") return { value: head, end };
  if (kind === "-") return { value: new Error(head), end };
  if (kind === ":") return { value: Number(head), end };
  if (kind !== "$" && kind !== "*") throw new Error(`not a reply: ${kind}${head}`);
  const length = Number(head);
  if (length < 0) return { value: null, end };
  if (kind === "$") {
    if (bytes.length < end + length + 2) return undefined;
    return { value: bytes.toString("utf8", end, end + length), end: end + length + 2 };
  }
  const items = [];
  for (let i = 0; i < length; i++) {
    const item = parse(bytes, end);
    if (!item) return undefined;
    items.push(item.value);
    end = item.end;
  }
  return { value: items, end };
}

/** The message of a task, as Celery's protocol 2 has it on a Redis broker. */
function message(task, id, fields) {
  const body = [[], fields, { callbacks: null, errbacks: null, chain: null, chord: null }];
  return JSON.stringify({
    body: Buffer.from(JSON.stringify(body)).toString("base64"),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    headers: {
      lang: "js",
      task,
      id,
      root_id: id,
      retries: 0,
      expires: null,
      origin: `${process.pid}@node`,
      kwargsrepr: JSON.stringify(fields).slice(0, 1024), // for dashboards
    },
    properties: {
      correlation_id: id,
      delivery_mode: 2,
      delivery_tag: randomUUID(), // of this message alone: also when a request is sent again
      delivery_info: { exchange: "", routing_key: QUEUE },
      priority: 0,
      body_encoding: "base64",
    },
  });
}

/** Send a request. Sent again, since an answer was lost, it is the same request by its id. */
async function invalidate(fields) {
  const id = randomUUID();
  for (let attempt = 1; ; attempt++) {
    let broker;
    try {
      broker = await Redis.open(BROKER_URL);
      await broker.ask("LPUSH", QUEUE, message("invalidation.request", id, { ...fields, id }));
      return id;
    } catch (error) {
      if (attempt === ATTEMPTS) throw new Error(`broker: ${error.message}; perhaps not sent`);
      await new Promise((done) => setTimeout(done, 100 * 2 ** attempt));
    } finally {
      broker?.close();
    }
  }
}

/** The receipt of a request, once it has ended. */
async function receipt(id) {
  const cache = await Redis.open(CACHE_URL);
  try {
    for (const end = Date.now() + WAIT_MS; Date.now() < end; ) {
      const found = JSON.parse(await cache.ask("GET", `{${DEPLOYMENT}}:receipt:${id}`));
      if (found && found.status !== "pending") return found;
      if (found?.merged_into) id = found.merged_into; // which waited for the same already
      // Rung when it has ended, for one who waits: so look again in any case.
      await cache.ask("BLPOP", `{${DEPLOYMENT}}:ended:${id}`, "1");
    }
  } finally {
    cache.close();
  }
  throw new Error(`request ${id} has not ended after ${WAIT_MS} ms, or was refused`);
}

try {
  const keys = process.argv.slice(2);
  const id = await invalidate({ keys, consistency: "strict", reason: "an edit" });
  const told = await receipt(id);
  console.log(JSON.stringify(told));
  process.exitCode = told.status === "done" ? 0 : 1;
} catch (error) {
  console.error(`producer: ${error.message}`);
  process.exitCode = 1;
}
