/** The two majors of msw that the model server supports, behind one surface. */
import type { ResolverInfo } from "@oncekey/client/testing";
import * as msw2 from "msw-2";
import { setupServer as setupServer2 } from "msw-2/node";
import { http } from "msw/http";
import { setupServer } from "msw/node";

type Handler = (info: ResolverInfo) => Promise<Response>;

export interface Network {
  readonly listen: () => void;
  readonly post: (url: string, handler: Handler) => void;
  readonly patch: (url: string, handler: Handler) => void;
  /** Removes the handlers. */
  readonly reset: () => void;
  readonly close: () => void;
}

const network2 = setupServer2();
const network3 = setupServer();

export const NETWORKS: readonly (readonly [name: string, network: Network])[] = [
  [
    "msw 2",
    {
      listen: () => network2.listen({ onUnhandledRequest: "error" }),
      post: (url, handler) => network2.use(msw2.http.post(url, handler)),
      patch: (url, handler) => network2.use(msw2.http.patch(url, handler)),
      reset: () => network2.resetHandlers(),
      close: () => network2.close(),
    },
  ],
  [
    "msw 3",
    {
      listen: () => network3.listen({ onUnhandledFrame: "error" }),
      post: (url, handler) => network3.use(http.post(url, handler)),
      patch: (url, handler) => network3.use(http.patch(url, handler)),
      reset: () => network3.resetHandlers(),
      close: () => network3.close(),
    },
  ],
];
