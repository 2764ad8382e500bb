import { connect } from "node:net";
import { text } from "node:stream/consumers";
import Fastify from "fastify";
import type { FastifyInstance, FastifyServerOptions, RouteOptions } from "fastify";
import { describe, expect, it } from "vitest";
import { compileTarget, namedPattern, targetPattern } from "../../src/ticket/target.ts";

type Routes = Partial<Pick<RouteOptions, "constraints" | "prefixTrailingSlash">> & {
  readonly url: string;
};

/** Names the targets of requests to routes of a listening server, as their handlers see them. */
async function targetsOf(
  options: FastifyServerOptions,
  routes: readonly Routes[],
  requests: readonly (string | readonly [path: string, header: string])[],
): Promise<string[]> {
  const app: FastifyInstance = Fastify(options);
  for (const route of routes) {
    const targetOf = compileTarget(route);
    app.route({ method: "POST", ...route, handler: async (request) => targetOf(request) });
  }
  const { port } = new URL(await app.listen({ host: "127.0.0.1", port: 0 }));
  try {
    const answers = [];
    for (const request of requests) answers.push(await send(Number(port), request));
    return answers;
  } finally {
    await app.close();
  }
}

async function send(
  port: number,
  request: string | readonly [path: string, header: string],
): Promise<string> {
  const [path, header = "host: a.example"] = typeof request === "string" ? [request] : request;
  const host = header.startsWith("host") ? "" : "host: a.example\r\n";
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `POST ${path} HTTP/1.1\r\n${host}${header}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
  );
  const answer = await text(socket);
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

describe("the target of a request", () => {
  it.each<[string, FastifyServerOptions, string, string[], string]>([
    ["percent-encoded characters", {}, "/c/:id", ["/c/42", "/c/%34%32", "/%63/42"], "POST /c/42"],
    ["the absolute form", {}, "/c/:id", ["/c/42", "http://a.example/c/42"], "POST /c/42"],
    [
      "upper and lower case of an escape",
      {},
      "/c/:id",
      ["/c/%C3%A9", "/c/%c3%a9"],
      "POST /c/%C3%A9",
    ],
    ["an escaped slash", {}, "/c/:id", ["/c/a%2Fb", "/c/a%2fb"], "POST /c/a%2Fb"],
    ["an escaped percent sign", {}, "/c/:id", ["/c/a%25b"], "POST /c/a%25b"],
    [
      "the query and the fragment",
      {},
      "/c/:id",
      ["/c/42?a=/c/43", "/c/42#x", "/c/42"],
      "POST /c/42",
    ],
    [
      "ignoreTrailingSlash",
      { routerOptions: { ignoreTrailingSlash: true } },
      "/c/:id",
      ["/c/42", "/c/42/"],
      "POST /c/42",
    ],
    [
      "caseSensitive: false",
      { routerOptions: { caseSensitive: false } },
      "/Carts/:id/Pay",
      ["/Carts/aB/Pay", "/carts/aB/pay", "/CARTS/aB/PAY"],
      "POST /Carts/aB/Pay",
    ],
    [
      "ignoreDuplicateSlashes",
      { routerOptions: { ignoreDuplicateSlashes: true } },
      "/c/:id",
      ["/c/42", "//c///42"],
      "POST /c/42",
    ],
    ["a wildcard", {}, "/files/*", ["/files/a/b%20c", "/files/%61/b%20c"], "POST /files/a/b%20c"],
    ["two parameters in a segment", {}, "/at/:lat-:lon", ["/at/1-2", "/at/%31-2"], "POST /at/1-2"],
    ["a regular expression", {}, "/c/:id(^\\d+$)", ["/c/42", "/c/4%32"], "POST /c/42"],
    [
      "a group in a regular expression",
      {},
      "/c/:id(^(?:a|b)$)/x",
      ["/c/a/x", "/c/%61/x"],
      "POST /c/a/x",
    ],
    ["an extension", {}, "/c/:name.json", ["/c/a.json", "/c/%61.json"], "POST /c/a.json"],
    ["an optional parameter that is there", {}, "/c/:id?", ["/c/42", "/c/%342"], "POST /c/42"],
    ["an optional parameter that is not there", {}, "/c/:id?", ["/c", "/%63"], "POST /c"],
    ["a colon", {}, "/c::cancel/:id", ["/c:cancel/42", "/c:cancel/%342"], "POST /c:cancel/42"],
    ["no parameters", {}, "/pay now", ["/pay%20now", "/p%61y%20now"], "POST /pay%20now"],
  ])("is one for all spellings: %s", async (_name, options, url, paths, target) => {
    const targets = await targetsOf(options, [{ url }], paths);
    expect(targets).toEqual(paths.map(() => target));
  });

  it.each<[string, FastifyServerOptions, string, string[]]>([
    ["ids", {}, "/c/:id", ["/c/42", "/c/43", "/c/4%332"]],
    [
      "the case of a parameter",
      { routerOptions: { caseSensitive: false } },
      "/c/:id",
      ["/c/a", "/c/A"],
    ],
    ["where one parameter ends", {}, "/c/:a/:b", ["/c/x/y", "/c/x%2Fy/y", "/c/x/y%2Fy"]],
    ["an escape and its escape", {}, "/c/:id", ["/c/%2F", "/c/%252F"]],
    ["an empty parameter", {}, "/c/:id?", ["/c", "/c/", "/c/a"]],
    ["two separators", {}, "/at/:lat,:lon", ["/at/1,2", "/at/1%2C2,2"]],
  ])("differs by %s", async (_name, options, url, paths) => {
    const targets = await targetsOf(options, [{ url }], paths);
    expect(new Set(targets).size).toBe(paths.length);
    expect(targets).toEqual(targets.filter((target) => target.startsWith("POST /")));
  });

  it("differs by the constraints of the route, and not by how a request meets them", async () => {
    const url = "/c/:id";
    const routes = [
      { url, constraints: { version: "1.2.0" } },
      { url, constraints: { version: "2.0.0" } },
      { url, constraints: { host: "b.example" } },
      { url, constraints: { host: /^c\d\.example$/ } },
      { url },
    ];
    expect(
      await targetsOf({}, routes, [
        "/c/42",
        ["/c/42", "accept-version: 1.x"],
        ["/c/42", "accept-version: 1.2.0"],
        ["/c/42", "accept-version: 2.x"],
        ["/c/42", "host: b.example"],
        ["/c/42", "host: c1.example"],
        ["/c/42", "host: c2.example"],
      ]),
    ).toEqual([
      "POST /c/42",
      "POST /c/42 version=1.2.0",
      "POST /c/42 version=1.2.0",
      "POST /c/42 version=2.0.0",
      "POST /c/42 host=b.example",
      "POST /c/42 host=/^c\\d\\.example$/",
      "POST /c/42 host=/^c\\d\\.example$/",
    ]);
  });

  it("falls back to the path as it was sent if the parameters are not those of the route", () => {
    const targetOf = compileTarget({ url: "/c/:id" });
    const request = { method: "POST", url: "/c/%34?a=1" };
    expect(targetOf({ ...request, params: { id: 4 } })).toBe("POST /c/%34");
    expect(targetOf({ ...request, params: { id: "4", other: "5" } })).toBe("POST /c/%34");
    expect(targetOf({ ...request, params: null })).toBe("POST /c/%34");
    expect(targetOf({ ...request, url: "/c/%34#a", params: null })).toBe("POST /c/%34");
  });

  it("has a parameter behind a regular expression with escaped brackets", () => {
    const targetOf = compileTarget({ url: String.raw`/c/:id(^a\)b$)/pay` });
    const request = { method: "POST", url: "/c/a)b/pay", params: { id: "a)b" } };
    expect(targetOf(request)).toBe("POST /c/a)b/pay");
  });

  it("names constraints in one order, in whatever order the route has them", () => {
    const both = { version: "1.0.0", host: "b.example" };
    const request = { method: "POST", url: "/c", params: {} };
    for (const constraints of [both, { host: both.host, version: both.version }]) {
      const target = compileTarget({ url: "/c", constraints })(request);
      expect(target).toBe("POST /c host=b.example version=1.0.0");
    }
  });

  it("keeps the beginning and a digest of what is longer than the column", () => {
    const targetOf = compileTarget({ url: "/c/*" });
    const long = (end: string) =>
      targetOf({ method: "POST", url: "/", params: { "*": "x".repeat(600) + end } });
    expect(long("a")).toMatch(/^POST \/c\/x{56}… sha256:[0-9a-f]{64}$/);
    expect(long("a")).not.toBe(long("b"));
  });

  it("is whole up to the 512 bytes of the column", () => {
    const targetOf = compileTarget({ url: "/c/:id" });
    const ofLength = (length: number) =>
      targetOf({ method: "POST", url: "/", params: { id: "x".repeat(length - 8) } });
    expect(ofLength(512)).toBe(`POST /c/${"x".repeat(504)}`);
    expect(ofLength(513)).toContain("… sha256:");
  });
});

describe("the pattern of a route", () => {
  it.each<[string, readonly string[], readonly string[]]>([
    [
      "/c/:id",
      ["POST /c/42", "PUT /c/a%20b", "POST /c/42 version=1.0.0"],
      ["POST /c", "POST /c/42/x", "PATCH /c/42", "REPOST /c/42", "POST /d/42"],
    ],
    ["/c/:id/pay", ["POST /c/42/pay"], ["POST /c/42", "POST /c/42/pay/x", "POST /c/4/2/pay"]],
    ["/c/:id?", ["POST /c", "POST /c/42"], ["POST /c42", "POST /c/42/x"]],
    ["/files/*", ["POST /files/a/b", "POST /files/"], ["POST /file/a", "POST /x/files/a"]],
    ["/a.b", ["POST /a.b", "PUT /a.b"], ["POST /a-b", "POST /a.bc"]],
    ["/pay now", ["POST /pay%20now"], ["POST /pay now"]],
  ])("%s matches the targets of its requests, and no others", (url, own, others) => {
    const pattern = new RegExp(targetPattern({ methods: ["POST", "PUT"], url }));
    expect(own.filter((target) => !pattern.test(target))).toEqual([]);
    expect(others.filter((target) => pattern.test(target))).toEqual([]);
  });

  it("with constraints matches the targets with these alone", () => {
    const route = { methods: ["POST"], url: "/c", constraints: { version: "1.0.0" } };
    const pattern = new RegExp(targetPattern(route));
    const targets = ["POST /c version=1.0.0", "POST /c", "POST /c version=1-0-0"];
    expect(targets.filter((target) => pattern.test(target))).toEqual(targets.slice(0, 1));
  });

  it("is made from the route's name, with one method or several", () => {
    const route = { methods: ["POST", "PUT"], url: "/c/:id" };
    expect(namedPattern("POST,PUT /c/:id")).toBe(targetPattern(route));
    expect(namedPattern("POST /")).toBe(targetPattern({ methods: ["POST"], url: "/" }));
  });

  it.each(["post /c", "POST", "POST c", "POST /a b", " POST /c", "/c"])(
    "is not made from %j",
    (name) => {
      expect(() => namedPattern(name)).toThrow(
        new RangeError(
          `route must be a method and a path, such as POST /payments/:id, got ${JSON.stringify(name)}`,
        ),
      );
    },
  );
});
