/** Has to be imported before ky, which makes a TextEncoder when it is loaded and uses it for upload progress alone. */

/** Whether the platform has no TextEncoder, as React Native before 0.74: a stand-in is there while ky is loaded. */
export const isStandIn: boolean = globalThis.TextEncoder === undefined;

if (isStandIn) globalThis.TextEncoder = Object as unknown as typeof TextEncoder;
