/** Messages between the benchmark and a server under measurement. */

export type Question =
  | { readonly ask: "held" }
  | { readonly ask: "sweep" }
  | { readonly ask: "start-profile" }
  | { readonly ask: "write-profile"; readonly file: string };

export type ServerAnswer =
  /** The most connections out of the pool since the last question. */
  | { readonly kind: "held"; readonly connections: number }
  | {
      /** Time of each full batch, in ms. */
      readonly kind: "swept";
      readonly batchMs: readonly number[];
    }
  | { readonly kind: "done" };
