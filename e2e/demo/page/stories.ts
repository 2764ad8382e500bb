/** Four short stories that play themselves, each with a cart of its own and its attempts in the timeline. */
import type { RunResult, Settled } from "@oncekey/client";
import type { Order, Receipt } from "../../shop/wire.ts";
import { withDevices } from "./device.ts";
import { find, make } from "./element.ts";
import type { OpenPayment, Payments } from "./payments.ts";
import { announce } from "./status.ts";

interface Story {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** Plays it, and returns its end as text. */
  readonly play: (order: Order, payment: OpenPayment) => Promise<string>;
}

const AMOUNT_CENTS = 42_50;
const POSTCARD_CENTS = 2_00;
const DAY_MS = 86_400_000;
const OFFLINE_MS = 1_500;

const STORIES: readonly Story[] = [
  {
    id: "two-tabs",
    title: "Two tabs at once",
    text: "The same cart is open in two tabs, and Pay is pressed in both at the same moment.",
    async play(order, { record, note }) {
      const senders = new Set<string>();
      const devices = ["first", "second"].map((tab) => ({
        record: (attempt: Parameters<typeof record>[0]) => {
          senders.add(tab);
          return record(attempt);
        },
      }));
      note("Pay was pressed in both tabs.");
      const results = await withDevices(devices, (...tabs) =>
        Promise.all(tabs.map(({ pay }) => pay(order))),
      );
      const orders = new Set(results.map(tell));
      return senders.size === 1
        ? `The ${[...senders].join()} tab asked the shop, the other one waited, and both were told: ${[...orders].join(" / ")}.`
        : `Both tabs asked the shop, and both were told: ${[...orders].join(" / ")}.`;
    },
  },
  {
    id: "edited-cart",
    title: "The cart changes in between",
    text: "The money is taken, but no answer arrives. The shopper adds a postcard and pays again.",
    async play(order, { record, note }) {
      const lost = [{ kind: "drop-reply" }, { kind: "drop-reply" }] as const;
      return withDevices([{ record, faults: lost, attempts: lost.length }], async (device) => {
        note(`${tell(await device.pay(order))}. The shopper adds a postcard and pays again.`);
        const edited = { ...order, amountCents: order.amountCents + POSTCARD_CENTS };
        const second = await device.pay(edited);
        if (second.kind !== "rejected" || second.earlierResult === undefined) return tell(second);
        note("The shop knew the key: it belongs to the cart as it was before.");
        const earlier = second.earlierResult as Settled<Receipt | undefined>;
        return `The answer carried the earlier order: ${tell(earlier)}.`;
      });
    },
  },
  {
    id: "offline",
    title: "Without a connection",
    text: "The connection is gone when Pay is pressed, and comes back a little later.",
    async play(order, { record, note }) {
      return withDevices([{ record }], async (device) => {
        device.setOnline(false);
        note("Offline. Pay was pressed, and nothing was sent.");
        setTimeout(() => {
          note("Online again.");
          device.setOnline(true);
        }, OFFLINE_MS);
        return `The payment went on by itself: ${tell(await device.pay(order))}.`;
      });
    },
  },
  {
    id: "wrong-clock",
    title: "A clock that is a day slow",
    text: "A key tells when it was made, and this shop refuses old ones. The device believes that it is yesterday.",
    async play(order, { record, note }) {
      return withDevices([{ record, clockOffMs: -DAY_MS }], async (device) => {
        note("To the shop the first key is a day old. It refuses it, and says what time it is.");
        return `The next key was made by the shop's clock: ${tell(await device.pay(order))}.`;
      });
    },
  },
];

/** Draws the stories. One plays at a time. */
export function createStories(payments: Payments): void {
  const buttons = STORIES.map((story) => {
    const titleId = `story-${story.id}`;
    const button = make(
      "button",
      { type: "button", className: "quiet", id: `play-${story.id}` },
      "Play",
    );
    button.setAttribute("aria-labelledby", `play-${story.id} ${titleId}`);
    find("stories", HTMLUListElement).append(
      make("li", {}, make("h3", { id: titleId }, story.title), make("p", {}, story.text), button),
    );
    button.addEventListener("click", () => void onPlay(story));
    return button;
  });
  // Not `disabled`, which would take the focus away from the button that was pressed.
  const setBusy = (isBusy: boolean): void => {
    for (const button of buttons) button.setAttribute("aria-disabled", String(isBusy));
  };
  let isPlaying = false;
  async function onPlay(story: Story): Promise<void> {
    if (isPlaying) return;
    isPlaying = true;
    setBusy(true);
    const order: Order = { cart: crypto.randomUUID(), amountCents: AMOUNT_CENTS };
    const payment = payments.begin({ title: story.title, via: "oncekey", cart: order.cart });
    const ending = await story.play(order, payment);
    payment.note(ending);
    announce(ending);
    isPlaying = false;
    setBusy(false);
  }
}

function tell(result: RunResult<Receipt | undefined>): string {
  switch (result.kind) {
    case "done":
      return `order ${result.value?.order ?? "without a receipt"}, charged once`;
    case "unknown":
      return "No answer: it is not known whether the order exists";
    case "rejected":
      return `the shop refused: ${result.error.message}`;
    default:
      return result satisfies never;
  }
}
