/** Declarations that the reader of an example brings along. */
interface Cart {
  readonly id: string;
  readonly lines: readonly { readonly sku: string; readonly count: number }[];
  readonly total: number;
}
declare const cart: Cart;
declare const session: { readonly token: string; readonly userId: string };
declare function pay(cart: Cart): Promise<void>;
declare function emptyCart(): void;
declare function showReceipt(receipt: { readonly id: number } | undefined, replayed: boolean): void;
declare function showStillChecking(again: () => Promise<unknown>): void;
declare function showProblem(error: Error): void;

declare const queryClient: import("@tanstack/query-core").QueryClient;
declare const placeOrder: import("@oncekey/client").Operation<
  Cart,
  { readonly id: number } | undefined
>;

declare function encrypt(body: string): Promise<string>;
declare function decrypt(sealed: string): Promise<string>;
declare function openEmpty(): import("@oncekey/client").OperationStorage;
declare function reopen(): import("@oncekey/client").OperationStorage;
declare function test(title: string, run: () => Promise<void>): void;
