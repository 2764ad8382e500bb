/** Kinds of subtle bugs that no hunt can show, because the rig never comes into their situation, and the tests that do. */

export interface Unseen {
  readonly kind: string;
  /** Why the rig cannot see it. */
  readonly why: string;
  readonly file: string;
  /** Part of the title of a test in the file. */
  readonly title: string;
}

export const UNSEEN: readonly Unseen[] = [
  {
    kind: "the day of a crashed lease is dropped before the sweep has announced its end",
    why: "it holds the days that are to end by such leases",
    file: "server/test/store/days.test.ts",
    title: "stays beside a crashed lease until the sweep has announced its end",
  },
  {
    kind: "a day is dropped when its responses are over, although keys are still remembered",
    why: "its keys are repeated for four seconds, and the sweep needs as long for that",
    file: "server/test/store/days.test.ts",
    title: "stays as long as there is %s, and so do the days behind it",
  },
  {
    kind: "a resumed run whose token renewal fails takes 403 for final, and mints a key",
    why: "its clients have no credentials",
    file: "client/test/retry/unauthorized.test.ts",
    title: "stays unknown with its key: %s",
  },
  {
    kind: "advice against a retry (`x-should-retry: false`) drops the key of a request that runs",
    why: "its servers give no such advice",
    file: "client/test/retry/no-retry-advice.test.ts",
    title: "keeps the key and sends nothing more: %s",
  },
  {
    kind: "a client removes the record of another one, if both have no locks",
    why: "each of its clients has a memory of its own",
    file: "client/test/records/no-locks.test.ts",
    title: "stays in its place when the first client forgets what it had there: %s",
  },
  {
    kind: "a chunked upload with another body counts as equal",
    why: "its bodies are JSON",
    file: "client/test/testing/testing.test.ts",
    title: "refuses %s that differ in one byte under one key",
  },
  {
    kind: "the slow answer of a beat makes its lease last from when it arrived",
    why: "every write of a lease names its owner, so that a late one changes nothing",
    file: "server/test/store/heartbeat.test.ts",
    title: "lasts 30 s from when a beat was sent, and not from when its answer arrived",
  },
  {
    kind: "a key that is too old and whose lease failed counts as expired, and the caller takes a new one",
    why: "its keys have no time",
    file: "server/test/options/route-options.test.ts",
    title: "answers outcome_unknown to an old key whose lease failed",
  },
  {
    kind: "a leader whose store throws leaves its key in flight",
    why: "the store returns the failures of a database; the hunt above has it return one",
    file: "server/test/layers/single-flight.test.ts",
    title: "after a store that threw, the next request with the key asks the store again",
  },
  {
    kind: "a timer of the sweep or of crash recovery starts again after the stop",
    why: "it kills its servers",
    file: "server/test/store/sweeper.test.ts",
    title: "that fails is reported, tried again, and stopped with the application",
  },
  {
    kind: "a listener stays on the signal of a run",
    why: "it does not look into its clients",
    file: "client/test/wire/leaves-nothing.test.ts",
    title: "leaves no listener on the signal of a run that joined",
  },
];
