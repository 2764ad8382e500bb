/** Returns the URL, or `undefined` if the text is not a URL. `URL.canParse` would need a browser of 2024, and React Native has none. */
export function parseUrl(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
