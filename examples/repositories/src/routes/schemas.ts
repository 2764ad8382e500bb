export interface PlaceOrderBody {
  readonly items: readonly { readonly sku: string; readonly quantity: number }[];
}

export const placeOrderSchema = {
  body: {
    type: "object",
    required: ["items"],
    properties: {
      items: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          required: ["sku", "quantity"],
          properties: { sku: { type: "string" }, quantity: { type: "integer", minimum: 1 } },
        },
      },
    },
  },
};

export interface OrderParams {
  readonly id: number;
}

export const orderSchema = {
  params: { type: "object", properties: { id: { type: "integer" } } },
};

export interface TopUpBody {
  readonly amountCents: number;
}

export const topUpSchema = {
  body: {
    type: "object",
    required: ["amountCents"],
    properties: { amountCents: { type: "integer", minimum: 1 } },
  },
};
