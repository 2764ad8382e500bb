/** Late replies of a handler, after its answer was stored and before the bytes of it have left. */
import { setImmediate as nextTurn } from "node:timers/promises";
import compress from "@fastify/compress";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { countPayments, createPayments, withShop } from "../support/shop.ts";
import type { Answer } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

// Above the size from which a body is worth compressing.
const BODY = { text: "the same words again ".repeat(200) };

/** Waits until the payment of this key can be seen by others: the answer is stored then. */
async function untilStored({ idempotency }: FastifyRequest): Promise<void> {
  const text = "select from oncekey.records where key = $1 and status is not null";
  while ((await pool.query(text, [idempotency.key])).rowCount === 0) await nextTurn();
}

function declined(): Error {
  return Object.assign(new Error("declined"), { statusCode: 402 });
}

type Late = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/**
 * Pays and answers 201, does `late` while a hook behind ours holds the bytes back, and sends the
 * same request again.
 */
async function twice(
  late: Late,
  prepare: (app: FastifyInstance) => unknown = () => {},
  handlerTimeout?: number,
): Promise<{ readonly answers: readonly Answer[]; readonly payments: number }> {
  const before = await countPayments(pool);
  const answers: Answer[] = [];
  const hook = createGate();
  await withShop(
    { pool },
    async (app) => {
      await prepare(app);
      app.addHook("onSend", async (_request, _reply, payload) => {
        if (hook.passed() === 0) await hook.pass();
        return payload;
      });
      await app.register(compress);
      const route = { config: { idempotency: true }, ...(handlerTimeout && { handlerTimeout }) };
      app.post("/pay", route, async (request, reply) => {
        await request.idempotency.tx.query("insert into payments (amount) values (1)");
        void reply.code(201).send(BODY);
        await untilStored(request);
        await hook.reached;
        // The hook goes on when what comes late has come.
        const goOn = (): unknown => setImmediate(() => hook.open());
        if (handlerTimeout === undefined) goOn();
        else request.signal.addEventListener("abort", goOn);
        return late(request, reply);
      });
    },
    async ({ post }) => {
      const key = crypto.randomUUID();
      answers.push(await post("/pay", { key }), await post("/pay", { key }));
    },
  );
  return { answers, payments: (await countPayments(pool)) - before };
}

describe("a handler that throws, and what fails once its error was answered", () => {
  it.each<[string, (app: FastifyInstance) => void]>([
    [
      "a header that Node refuses",
      (app) =>
        app.addHook("onSend", async (_request, reply) => void reply.header("x-reason", "no\nno")),
    ],
    [
      "a hook behind ours",
      (app) => {
        let isBroken = true;
        app.addHook("onSend", async () => {
          if (isBroken) throw new Error("hook");
          isBroken = false;
        });
      },
    ],
  ])("is answered all the same: %s", async (_what, prepare) => {
    await withShop(
      { pool },
      (app) => {
        app.setErrorHandler(async (error: FastifyError, _request, reply) =>
          reply.code(422).send(error.message),
        );
        app.post("/pay", { config: { idempotency: true } }, async () => {
          throw declined();
        });
        prepare(app);
      },
      async ({ post }) => {
        const { status } = await post("/pay", { key: crypto.randomUUID() });
        expect(status).toBeGreaterThanOrEqual(422);
      },
    );
  });
});

describe("a handler whose answer is stored and not sent yet", () => {
  it.each<[string, Late]>([
    [
      "throws",
      async () => {
        throw declined();
      },
    ],
    [
      "throws when it has set a status",
      async (_request, reply) => {
        reply.code(402);
        throw new Error("declined");
      },
    ],
    ["sends another answer", async (_request, reply) => reply.code(402).send("declined")],
    ["sends an error", async (_request, reply) => void reply.send(declined())],
    ["returns another answer", async () => "declined"],
  ])(
    "is answered by what is stored, on the first attempt as on a repeat: it %s",
    async (_, late) => {
      const { answers, payments } = await twice(late);
      for (const answer of answers) expect([answer.status, answer.json()]).toEqual([201, BODY]);
      expect(answers[1]?.headers.get("idempotent-replayed")).toBe("true");
      expect(payments).toBe(1);
    },
  );

  it("is answered by what is stored also where its time is over, which the application answers as final", async () => {
    const { answers, payments } = await twice(
      async () => undefined,
      (app) =>
        app.setErrorHandler((error: FastifyError, _request, reply) =>
          reply.code(error.code === "FST_ERR_HANDLER_TIMEOUT" ? 410 : 500).send(error.code),
        ),
      1_000,
    );
    for (const answer of answers) expect([answer.status, answer.json()]).toEqual([201, BODY]);
    expect(payments).toBe(1);
  });

  it("is answered by the error of a hook that its answer did not get past, and the retry by what is stored", async () => {
    let isBroken = true;
    const { answers, payments } = await twice(
      async (_request, reply) => reply,
      (app) => {
        app.setErrorHandler(async (error: FastifyError, _request, reply) =>
          reply.code(500).send(error.message),
        );
        app.addHook("onSend", async () => {
          if (!isBroken) return;
          isBroken = false;
          throw new Error("hook");
        });
      },
    );
    expect(answers.map(({ status }) => status)).toEqual([500, 201]);
    expect(answers[0]?.text).toBe("hook");
    expect(payments).toBe(1);
  });
});
