/** Runtimes that are not Node, with no more than they have, as contexts in which a script has been bundled and run. */
import { webcrypto } from "node:crypto";
import vm from "node:vm";
import { bundle } from "@oncekey/test-support/browser/bundle";
import { NativeFileReader, NativeXMLHttpRequest } from "./native-network.ts";

const getRandomValues = webcrypto.getRandomValues.bind(webcrypto);

class OlderURL extends URL {}
Object.defineProperty(OlderURL, "canParse", { value: undefined });

/** Globals that all runtimes have. The language itself is the context's own. */
const COMMON = {
  setTimeout,
  clearTimeout,
  performance,
  console,
  URL: OlderURL,
  URLSearchParams,
  Blob,
  FormData,
  btoa,
  atob,
};
const WEB = { Headers, Response, AbortController, AbortSignal, TextDecoder, TextEncoder };

/** Removes the language features that are newer than 2022. */
const WITHOUT = `
  for (const name of ["findLast", "findLastIndex", "toReversed", "toSorted", "toSpliced", "with"]) delete Array.prototype[name];
  for (const [owner, name] of [[Array, "fromAsync"], [Object, "groupBy"], [Map, "groupBy"], [Promise, "withResolvers"], [Promise, "try"]]) {
    delete owner[name];
  }
  delete globalThis.Iterator;
`;

async function createContext(
  globals: Readonly<Record<string, unknown>>,
  origin: string,
  ...scripts: readonly string[]
): Promise<vm.Context> {
  const context = vm.createContext({ ...COMMON, ...globals, ORIGIN: origin });
  context["self"] = context["global"] = vm.runInContext("globalThis", context);
  vm.runInContext(WITHOUT, context);
  for (const script of scripts) vm.runInContext((await bundle(script, "iife")).code, context);
  return context;
}

/**
 * React Native, whose fetch is whatwg-fetch. Its other globals are abort-controller's. Hermes had no TextDecoder until 2026, and has no
 * crypto: an app brings getRandomValues with a package such as react-native-get-random-values, and a whole URL with another.
 */
export function createNative(origin: string, script: string): Promise<vm.Context> {
  const polyfills = `
    import { AbortController, AbortSignal } from "abort-controller/dist/abort-controller";
    globalThis.AbortController = AbortController;
    globalThis.AbortSignal = AbortSignal;
    import "whatwg-fetch";
  `;
  const own = { XMLHttpRequest: NativeXMLHttpRequest, FileReader: NativeFileReader };
  return createContext({ ...own, crypto: { getRandomValues } }, origin, polyfills, script);
}

/** A Worker: what happens there outside of a request is refused, and its Request does not know all members. */
export async function createWorker(origin: string, script: string): Promise<vm.Context> {
  let isRequest = false;
  const inRequest = <Call extends (...given: never[]) => unknown>(call: Call): Call =>
    ((...given: never[]) => {
      if (!isRequest) throw new Error("Disallowed operation called within global scope");
      return call(...given);
    }) as Call;
  class WorkerRequest extends Request {
    constructor(input: string | URL | Request, init: RequestInit = {}) {
      for (const name of ["mode", "credentials", "cache", "referrer"] as const) {
        if (init[name] !== undefined) throw new TypeError(`${name} is not implemented`);
      }
      super(input, init);
    }
  }
  const restricted = {
    Request: WorkerRequest,
    fetch: inRequest(fetch),
    setTimeout: inRequest(setTimeout),
    crypto: { getRandomValues: inRequest(getRandomValues) },
  };
  const context = await createContext({ ...WEB, ...restricted }, origin, script);
  isRequest = true;
  return context;
}

/** A browser of 2022. */
export function createOlderBrowser(origin: string, script: string): Promise<vm.Context> {
  return createContext({ ...WEB, Request, fetch, crypto: { getRandomValues } }, origin, script);
}
