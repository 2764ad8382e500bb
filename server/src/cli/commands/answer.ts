/** Shared by `resolve` and `recover`: the options of an answer, and the response that they make. */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { Command } from "@commander-js/extra-typings";
import type { Retention, StoredResponse } from "../../store/store.ts";
import { UsageError } from "../io/exit-code.ts";
import { parseDuration } from "./list.ts";

const DAY_MS = 86_400_000;

/** The options beside `--status`. A type and not an interface: commander wants options that could be read by any name. */
export type AnswerOptions = {
  body: string;
  contentType: string;
  retention: number;
  fence: number;
};

export function answerOptions<Args extends unknown[], Opts extends Record<string, unknown>>(
  command: Command<Args, Opts>,
): Command<Args, Opts & AnswerOptions> {
  return command
    .option("--body <text>", "the body of the answer; @file reads a file", "")
    .option("--content-type <type>", "the type of the body", "application/json; charset=utf-8")
    .option("--retention <duration>", "how long the answer is kept: 24h", parseDuration, DAY_MS)
    .option(
      "--fence <duration>",
      "how long its key runs nothing: 30d",
      parseDuration,
      30 * DAY_MS,
    ) as unknown as Command<Args, Opts & AnswerOptions>;
}

/** @throws UsageError if the fence is shorter than the retention, or the file of the body cannot be read. */
export async function toAnswer(
  status: number,
  { body, contentType, retention, fence }: AnswerOptions,
): Promise<{ readonly response: StoredResponse; readonly retention: Retention }> {
  if (fence < retention) throw new UsageError("--fence must be at least --retention");
  const bytes = body.startsWith("@") ? await readBody(body.slice(1)) : Buffer.from(body);
  return {
    response: { status, headers: [["content-type", contentType]], body: bytes },
    retention: { retentionMs: retention, fenceMs: fence },
  };
}

async function readBody(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new UsageError(`--body: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export const STATUS = "the status of the answer, 200 to 499";

export function parseStatus(value: string): number {
  const status = Number(value);
  if (Number.isInteger(status) && status >= 200 && status <= 499) return status;
  throw new InvalidArgumentError("It must be a whole number from 200 to 499");
}
