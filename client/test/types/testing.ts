import { createModelServer } from "@oncekey/client/testing";
import * as msw2 from "msw-2";
import { http, HttpResponse } from "msw/http";
import { same } from "./same.ts";

const server = createModelServer();

// The resolvers of both majors of msw, with and without types of their own.
http.post(
  "/orders/:id",
  server.protect(({ params }) => HttpResponse.json({ id: params["id"] })),
);
msw2.http.post(
  "/orders/:id",
  server.protect(({ params }) => msw2.HttpResponse.json({ id: params["id"] })),
);
http.patch<{ id: string }, { readonly add: string }>(
  "/orders/:id",
  server.protect(async ({ params, request }) => {
    same<typeof params.id, string>(true);
    return HttpResponse.json({ id: params.id, added: (await request.json()).add });
  }),
);
msw2.http.patch<{ id: string }, { readonly add: string }>(
  "/orders/:id",
  server.protect(async ({ params, request }) => {
    same<typeof params.id, string>(true);
    return msw2.HttpResponse.json({ id: params.id, added: (await request.json()).add });
  }),
);
