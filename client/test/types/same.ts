// oxlint-disable typescript/no-unnecessary-type-parameters -- two generic functions are what compares types exactly
/** Fails to compile unless both types are the same. */
export declare function same<A, B>(
  answer: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false,
): void;
