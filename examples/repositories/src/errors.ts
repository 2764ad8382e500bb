/** An error that the caller may see: its code and message become the response. */
export class ShopError extends Error {
  readonly statusCode: number;
  readonly code: string;

  constructor(statusCode: number, code: string, message: string) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
  }
}

export function notFound(what: string): ShopError {
  return new ShopError(404, "not_found", `${what} does not exist`);
}

export function outOfStock(sku: string): ShopError {
  return new ShopError(422, "out_of_stock", `not enough of ${sku} in stock`);
}

export function creditExhausted(): ShopError {
  return new ShopError(402, "credit_exhausted", "the customer's credit does not cover the order");
}
