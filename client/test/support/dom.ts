/** A document for React, and nothing else of a browser: requests stay Node's. To be imported before `react-dom`. */
import { Window } from "happy-dom";

const window = new Window({ url: "https://shop.example/" });
Object.assign(globalThis, {
  window,
  document: window.document,
  IS_REACT_ACT_ENVIRONMENT: true,
});

export function createContainer(): HTMLElement {
  return document.createElement("div");
}
