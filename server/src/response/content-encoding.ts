/** Undoes a content encoding: what is stored is the identity body, so that each replay can be encoded for its own reader. */
import { promisify } from "node:util";
import zlib from "node:zlib";

interface Limit {
  readonly maxOutputLength: number;
}

type Decode = (bytes: Buffer, limit: Limit) => Promise<Buffer>;

// RFC 9110 §8.4.1 and, for the older name of gzip, §8.4.1.3; RFC 8878 for zstd, which Node has from 22.15 on.
const DECODERS: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ["gzip", promisify<Buffer, Limit, Buffer>(zlib.gunzip)],
  ["x-gzip", promisify<Buffer, Limit, Buffer>(zlib.gunzip)],
  ["deflate", promisify<Buffer, Limit, Buffer>(zlib.inflate)],
  ["br", promisify<Buffer, Limit, Buffer>(zlib.brotliDecompress)],
  ...("zstdDecompress" in zlib
    ? [["zstd", promisify<Buffer, Limit, Buffer>(zlib.zstdDecompress)] as const]
    : []),
  ["identity", async (bytes) => bytes],
]);

/**
 * Decodes a body. `undefined` where it cannot be kept: an unknown encoding, damaged bytes, or more than `maxBytes` of them.
 *
 * @param encoding value of Content-Encoding; several are undone from the last to the first.
 */
export async function decode(
  body: Buffer,
  encoding: string,
  maxBytes: number,
): Promise<Buffer | undefined> {
  let decoded = body;
  for (const name of encoding.toLowerCase().split(",").toReversed()) {
    const undo = DECODERS.get(name.trim());
    if (undo === undefined) return undefined;
    try {
      // At least 1, because zlib takes no limit of 0.
      decoded = await undo(decoded, { maxOutputLength: Math.max(1, maxBytes) });
    } catch {
      return undefined;
    }
  }
  return decoded;
}
