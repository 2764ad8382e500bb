/** An answer that came whole, and what it carries. */

/** Result of parsing a body: its value, or the error. */
export type Parsed = { readonly value: unknown } | { readonly error: unknown };

/** An answer that arrived whole, as it came over the wire. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body. */
  readonly text: string;
  readonly isRedirected: boolean;
  /** Whether JSON was asked for and HTML was not, so that a page is no answer. */
  readonly wantsJson: boolean;
  /** Response of the wire, or the one that hooks put in its place. Its body is unread if {@link readWhole} was asked to keep it. */
  readonly response: Response;
  readonly value: Parsed;
}

/**
 * Reads a response to its end, inside the attempt. As text, since React Native reads no bytes.
 *
 * @param sent the headers of the request.
 * @param keepsBody whether the body of a copy is read, and the response stays unread. In Chromium a copy takes about a millisecond.
 */
export async function readWhole(
  response: Response,
  sent: Headers,
  keepsBody: boolean | undefined,
): Promise<Answer> {
  const text = await (keepsBody ? response.clone() : response).text();
  const { status, headers, redirected: isRedirected } = response;
  const accept = sent.get("accept") ?? "";
  const wantsJson = /json/.test(accept + sent.get("content-type")) && !/html|text\/\*/.test(accept);
  const value = parseBody(headers, text);
  return { status, headers, text, isRedirected, wantsJson, response, value };
}

/** Whether an answer is a page, also without a media type. */
export function isHtml({ headers, text }: Answer): boolean {
  const type = headers.get("content-type") ?? "";
  return /html/i.test(type) || (!isJson(headers) && /^\s*<(!doctype )?html/i.test(text));
}

/** Whether a body is JSON by its media type, such as `application/problem+json`. */
export function isJson(headers: Headers): boolean {
  return /[/+]json\b/i.test(headers.get("content-type") ?? "");
}

export function parseJson(text: string): Parsed {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { error };
  }
}

/** Returns JSON parsed, other bodies as text, and `undefined` for none. */
function parseBody(headers: Headers, text: string): Parsed {
  if (text === "") return { value: undefined };
  return isJson(headers) ? parseJson(text) : { value: text };
}

/** Returns the parsed body of a refusal, or its text if the body is not JSON. */
export function bodyOf({ headers, text }: Answer): unknown {
  const parsed = parseBody(headers, text);
  return "value" in parsed ? parsed.value : text;
}

/** Returns the response to what was done with this status. */
export function responseOf(answer: Answer | undefined, status: number): Response {
  // The server kept the status but not the body; what it sent is a problem document about that.
  return answer?.status === status ? answer.response : new Response(null, { ...answer, status });
}
