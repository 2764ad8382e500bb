/** Nest on Fastify answers for a controller that throws. */
import { Controller, HttpException, Module, Post, Req } from "@nestjs/common";
import type { CallHandler, ExecutionContext, NestInterceptor, Type } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter, RouteConfig } from "@nestjs/platform-fastify";
import type { NestFastifyApplication } from "@nestjs/platform-fastify";
import { idempotency } from "@oncekey/server";
import type { FastifyRequest } from "fastify";
import { tap } from "rxjs";
import type { Observable } from "rxjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSERT, post, withOrders } from "./orders.ts";

const orders = withOrders();
let app: NestFastifyApplication;
let url = "";

class OrdersController {
  async place(request: FastifyRequest<{ Body: { readonly sku: string } }>): Promise<object> {
    const { sku } = request.body;
    const { rows } = await request.idempotency.tx.query<{ id: number }>(INSERT, [sku]);
    if (sku === "sold out") throw new HttpException("out of stock", 422);
    if (sku === "broken") throw new Error("the handler failed");
    return { id: rows[0]?.id };
  }
}

class RollbackInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    return next.handle().pipe(tap({ error: () => request.idempotency?.rollback() }));
  }
}

class AppModule {
  readonly controller = OrdersController;
}

// Decorators, applied by hand: type stripping does not know Nest's kind of them.
decorate(OrdersController, "place", [Post("orders"), RouteConfig({ idempotency: true })]);
Req()(OrdersController.prototype, "place", 0);
Controller()(OrdersController);
Module({ controllers: [OrdersController] })(AppModule);

function decorate(owner: Type, name: string, decorators: readonly MethodDecorator[]): void {
  const property = Object.getOwnPropertyDescriptor(owner.prototype, name);
  if (property === undefined) throw new Error(`there is no method ${name}`);
  for (const one of decorators) one(owner.prototype as object, name, property);
}

beforeAll(async () => {
  const { pool } = orders();
  app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), {
    logger: false,
  });
  await app.register(idempotency, { pool, scope: "single-tenant", replayCache: false });
  app.useGlobalInterceptors(new RollbackInterceptor());
  await app.listen(0, "127.0.0.1");
  url = `${await app.getUrl()}/orders`;
});
afterAll(() => app.close());

describe("Nest on Fastify", () => {
  it("runs a controller once for its key, and replays its answer", async () => {
    const before = await orders().count();
    const first = await post(url, "nest-1", { sku: "apple" });
    const again = await post(url, "nest-1", { sku: "apple" });
    expect(first).toMatchObject({ status: 201, body: { id: expect.any(Number) } });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before + 1);
  });

  it("keeps no write of a controller that threw an HttpException, and replays it", async () => {
    const before = await orders().count();
    const first = await post(url, "nest-2", { sku: "sold out" });
    const again = await post(url, "nest-2", { sku: "sold out" });
    expect(first).toMatchObject({ status: 422, body: { message: "out of stock" } });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before);
  });

  it("keeps no write of a controller that failed, and frees the key", async () => {
    const before = await orders().count();
    for (const _time of [1, 2]) {
      const answer = await post(url, "nest-3", { sku: "broken" });
      expect([answer.status, answer.isReplayed]).toEqual([500, false]);
    }
    expect(await orders().count()).toBe(before);
  });

  it("refuses a request without a key before the controller runs", async () => {
    const response = await fetch(url, { method: "POST" });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { code: "idempotency_key_required" },
    ]);
  });
});
