import type { FastifyInstance } from "fastify";
import { notFound } from "../errors.ts";
import { findOrder, listOrders } from "../repositories/orders.ts";
import { cancelOrder } from "../services/cancel-order.ts";
import { placeOrder } from "../services/place-order.ts";
import { orderSchema, placeOrderSchema } from "./schemas.ts";
import type { OrderParams, PlaceOrderBody } from "./schemas.ts";

export async function orderRoutes(app: FastifyInstance): Promise<void> {
  app.get("/", (request) => listOrders(request.customerId));

  app.get<{ Params: OrderParams }>("/:id", { schema: orderSchema }, async (request) => {
    const order = await findOrder(request.params.id, request.customerId);
    if (order === undefined) throw notFound("order");
    return order;
  });

  const placing = { schema: placeOrderSchema, config: { idempotency: true } };
  app.post<{ Body: PlaceOrderBody }>("/", placing, async (request, reply) => {
    const order = await placeOrder(request.customerId, request.body.items);
    return reply.code(201).header("location", `/orders/${order.id}`).send(order);
  });

  const cancelling = { schema: orderSchema, config: { idempotency: true } };
  app.post<{ Params: OrderParams }>("/:id/cancel", cancelling, (request) =>
    cancelOrder(request.params.id, request.customerId),
  );
}
