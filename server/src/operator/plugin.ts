/** The operator's page: a Fastify plugin of server-rendered pages, mounted behind the application's authentication. */
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
} from "fastify";
import { watchActivity } from "./desk/activity.ts";
import type { Activity } from "./desk/activity.ts";
import { ICON, SCRIPT, STYLE } from "./assets.ts";
import { createDesk } from "./desk/desk.ts";
import type { Address, Desk } from "./desk/desk.ts";
import { isOwnForm, setSecurityHeaders } from "./guard.ts";
import { html } from "./pages/html.ts";
import { page } from "./pages/layout.ts";
import type { Frame } from "./pages/layout.ts";
import { checkOperatorOptions } from "./options.ts";
import type { OperatorOptions } from "./options.ts";
import { keyPage } from "./pages/key.ts";
import type { Notice } from "./pages/key.ts";
import { overview } from "./pages/overview.ts";
import { digestKey } from "../telemetry/key-digest.ts";

/** A request whose form or query cannot be used. */
class FormError extends Error {
  override name = "FormError";
  readonly statusCode: number;
  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

const NOTICES: Readonly<Record<string, Notice>> = {
  forgotten: { text: "The key was forgotten. The next request with it runs.", tone: "good" },
  resolved: { text: "The response was stored. Every repeat gets it.", tone: "good" },
  held: {
    text: "Nothing was changed: a handler works on the key, or the record has changed since.",
    tone: "bad",
  },
};

/**
 * Serves the page for operators: crashed and running records, hot keys and the lag of the sweep; a key
 * with its story, and the forms that decide it. Register `idempotency` first, in the same scope or
 * around it, because it protects the forms.
 *
 * @example
 * const authenticate = app.requireStaff;
 * const by = (request) => request.user.email;
 * await app.register(operator, { prefix: "/ops/keys", authenticate, by });
 *
 * @throws at registration, TypeError with the option, its value and what is allowed.
 */
export const operator: FastifyPluginAsync<OperatorOptions> = async (app, options) => {
  checkOperatorOptions(options);
  const desk = createDesk(app, options.pool);
  const activity = watchActivity();
  app.addHook("onClose", async () => activity.stop());
  const { authenticate, by = () => "operator" } = options;
  for (const hook of authenticate === false ? [] : [authenticate].flat())
    app.addHook("onRequest", hook as onRequestHookHandler);
  const authenticated = new WeakSet<FastifyRequest>();
  app.addHook("onRequest", async (request, reply) => {
    authenticated.add(request);
    setSecurityHeaders(reply);
  });
  readForms(app);
  app.setErrorHandler(async (error, request, reply) => {
    // The refusal of a caller is the application's to answer.
    if (!authenticated.has(request)) throw error;
    return sendError(app, error as Error, request, reply);
  });
  addPages(app, desk, activity, by);
  addDecisions(app, desk, by);
  addAssets(app);
};

function frameOf(app: FastifyInstance, by?: string): Frame {
  return { base: app.prefix, by };
}

function sendPage(reply: FastifyReply, text: string): FastifyReply {
  setSecurityHeaders(reply);
  return reply.type("text/html; charset=utf-8").send(text);
}

function sendError(
  app: FastifyInstance,
  error: Error & { readonly statusCode?: number },
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { statusCode = 500, message } = error;
  if (statusCode >= 500)
    request.log.error({ reason: message }, "the operator's page could not be made");
  const text = statusCode < 500 ? message : "The database did not answer. The log has the reason.";
  const content = html`<h1>This did not work</h1>
    <p>${text}</p>`;
  return sendPage(reply.code(statusCode), page(frameOf(app), "Error", content));
}

type NameOf = (request: FastifyRequest) => string;

// The address of a page names a key: it stays out of the application's request log.
const QUIET = { logLevel: "warn" } as const;

function addPages(app: FastifyInstance, desk: Desk, activity: Activity, by: NameOf): void {
  app.get("/", QUIET, async (request, reply) =>
    sendPage(reply, await overview(frameOf(app, by(request)), desk, activity)),
  );
  app.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    "/key",
    QUIET,
    async (request, reply) => {
      const key = textOf(request.query, "key", 255).trim();
      const scope = optionalOf(request.query, "scope", 512);
      const notice = NOTICES[optionalOf(request.query, "done", 20) ?? ""];
      const records = await desk.find(key, scope);
      const decisions = await desk.decisions(key, scope);
      const shown = { key, scope, records, decisions, notice };
      return sendPage(reply, keyPage(frameOf(app, by(request)), activity, shown));
    },
  );
}

type Fields = Readonly<Record<string, unknown>>;

/** The forms are protected routes themselves: a form that is sent twice decides once. No connection is held while they decide. */
function addDecisions(app: FastifyInstance, desk: Desk, by: NameOf): void {
  const config = {
    idempotency: {
      strategy: "lease",
      lease: { onCrash: "rerun" },
      key: ({ body }: FastifyRequest) => formOf(body)["form"] as string | undefined,
      scope: (request: FastifyRequest) => `operator ${by(request)}`.slice(0, 120),
      fingerprint: ({ body }: FastifyRequest) => formOf(body),
      mismatch: "reject",
    },
  } as const;
  const preValidation = async (request: FastifyRequest): Promise<void> => {
    if (!isOwnForm(request)) throw new FormError(403, "The form was not sent by this page.");
    const fields = formOf(request.body);
    if (fields["checked"] !== "yes") throw new FormError(400, "The box was not checked.");
    textOf(fields, "reason", 1_000);
  };
  const own = { ...QUIET, config, preValidation };

  app.post("/forget", own, async (request, reply) => {
    const { address, reason } = readDecision(request);
    const isDone = await desk.forget(address, { by: by(request), reason });
    report(request, address.key, "forgotten", isDone, { by: by(request), reason });
    return reply.redirect(pathOf(app, address, isDone ? "forgotten" : "held"), 303);
  });

  app.post("/resolve", own, async (request, reply) => {
    const { address, reason, fields } = readDecision(request);
    const status = Number(fields["status"]);
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new FormError(400, "The status must be a whole number from 200 to 599.");
    const body = readJson(optionalOf(fields, "body", 1_048_576));
    const isDone = await desk.resolve(address, { status, ...body }, { by: by(request), reason });
    report(request, address.key, "resolved", isDone, { by: by(request), reason });
    return reply.redirect(pathOf(app, address, isDone ? "resolved" : "held"), 303);
  });
}

function readDecision({ body }: FastifyRequest): {
  readonly address: Address;
  readonly reason: string;
  readonly fields: Fields;
} {
  const fields = formOf(body);
  const address = {
    key: textOf(fields, "key", 255),
    scope: textOf(fields, "scope", 512),
    target: textOf(fields, "target", 1_024),
  };
  return { address, reason: textOf(fields, "reason", 1_000), fields };
}

function report(
  request: FastifyRequest,
  key: string,
  action: "forgotten" | "resolved",
  isDone: boolean,
  { by, reason }: { readonly by: string; readonly reason: string },
): void {
  const what = isDone ? `a key was ${action} by hand` : `a key could not be ${action} by hand`;
  request.log.warn({ keyDigest: digestKey(key), by, reason }, what);
}

function readJson(text: string | undefined): { readonly body?: unknown } {
  if (text === undefined) return {};
  try {
    return { body: JSON.parse(text) as unknown };
  } catch {
    throw new FormError(400, "The body must be JSON, or empty.");
  }
}

function pathOf({ prefix }: FastifyInstance, { key, scope }: Address, done: string): string {
  return `${prefix}/key?${new URLSearchParams({ key, scope, done }).toString()}`;
}

function formOf(body: unknown): Fields {
  return typeof body === "object" && body !== null ? (body as Fields) : {};
}

function optionalOf(fields: Fields, name: string, limit: number): string | undefined {
  const value = fields[name];
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string" && Buffer.byteLength(value) <= limit) return value;
  throw new FormError(400, `${name} must be one text of at most ${limit} bytes.`);
}

function textOf(fields: Fields, name: string, limit: number): string {
  const value = optionalOf(fields, name, limit);
  if (value === undefined) throw new FormError(400, `${name} is missing.`);
  return value;
}

/** Replaces the parsers of the application, for the page alone. */
function readForms(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string", bodyLimit: 2 * 1_048_576 },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
}

function addAssets(app: FastifyInstance): void {
  const files = [
    ["/style.css", "text/css; charset=utf-8", STYLE],
    ["/live.js", "text/javascript; charset=utf-8", SCRIPT],
    ["/icon.svg", "image/svg+xml", ICON],
  ] as const;
  for (const [path, type, text] of files)
    app.get(path, QUIET, async (_request, reply) => reply.type(type).send(text));
}
